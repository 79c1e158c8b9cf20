"""Preparing a machine without network: tasks, checkpoints, and pickled weights turned into safetensors."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

import pytest

from jbench import open_model
from jbench.cache import cache_root, file_sha256
from jbench.fetch import Failure, Fetched, fetch
from jbench.files import write
from jbench.models import convert as converting
from jbench.models import reader as reading
from jbench.models.convert import convert
from jbench.models.locate import conversion, locate
from jbench.models.options import Options
from jbench.registry import PUBLISHED, find_tasks, own_tasks
from jbench.source import github
from jbench.task import STS
from jbench.types import Pairs, Unavailable
from tests import tiny
from tests.test_cli import jbench, line

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PAIRS = [(a, b) for a in tiny.CORPUS for b in tiny.CORPUS]


def pickled(original, copy, shards=1, where=""):
    """A copy of a checkpoint whose weights, in the folder ``where``, are pickled instead, as torch saves them."""
    import torch
    from safetensors.torch import load_file

    if not copy.exists():
        shutil.copytree(original, copy)
    file = copy / where / "model.safetensors"
    weights = list(load_file(file).items())
    file.unlink()
    if shards == 1:
        torch.save(dict(weights), copy / where / "pytorch_model.bin")
        return copy
    names = [f"pytorch_model-{i + 1:05}-of-{shards:05}.bin" for i in range(shards)]
    for i, name in enumerate(names):
        torch.save(dict(weights[i::shards]), copy / where / name)
    index = {key: names[i % shards] for i, (key, _) in enumerate(weights)}
    (copy / where / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    return copy


def scores(folder, **settings):
    return open_model(str(folder), Options(settings=settings)).score(PAIRS, ("sts", "sts"))


def state(folder):
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("shards", [1, 3])
def test_a_converted_checkpoint_scores_as_the_original_and_keeps_its_identity(dense_bert, tmp_path, shards, no_network):
    folder = pickled(dense_bert, tmp_path / "mine", shards)
    before, known = state(folder), locate(str(folder), None)
    with pytest.raises(Unavailable, match=r"mine has no safetensors \(pickled .*`jbench fetch --convert /.*/mine`"):
        scores(folder)
    (row,) = fetch([], [str(folder)], conversion=True)
    assert (row.what, row.source, row.state) == (str(folder), f"local:mine@{known.revision}", "converted")
    assert scores(folder) == pytest.approx(scores(dense_bert), abs=1e-6)
    card = open_model(str(folder)).card
    assert (card.model, card.revision) == ("mine", known.revision)
    assert card.settings == open_model(str(dense_bert)).card.settings
    assert state(folder) == before
    (again,) = fetch([], [f"dense:{folder}"], conversion=True)
    assert again.source == row.source


def test_what_was_read_and_written_is_recorded_by_hash(dense_bert, tmp_path):
    folder = pickled(dense_bert, tmp_path / "mine", shards=2)
    (folder / "training_args.bin").write_bytes(b"never read")
    made = convert(locate(str(folder), None))
    record = json.loads((made.folder / "converted.json").read_text())
    shards = [f"-0000{i}-of-00002" for i in (1, 2)]
    assert record["read"] == {f"pytorch_model{s}.bin": file_sha256(folder / f"pytorch_model{s}.bin") for s in shards}
    assert record["written"] == {
        f"model{s}.safetensors": file_sha256(made.folder / f"model{s}.safetensors") for s in shards
    }
    assert (record["model"], record["revision"]) == ("mine", made.revision)
    assert record["versions"].keys() == {"jbench", "torch", "safetensors"}
    others = {path.name for path in folder.rglob("*") if path.is_file() and "pytorch_model" not in path.name}
    kept = {path.name for path in made.folder.rglob("*") if path.is_file()}
    assert kept == (others - {"training_args.bin"}) | {
        *record["written"], "converted.json", "model.safetensors.index.json",
    }  # fmt: skip
    assert made.folder.is_relative_to(cache_root() / "converted" / "mine")


def test_a_module_of_its_own_folder_is_converted_beside_safetensors(bare_bert, tmp_path):
    whole = tiny.sentence_transformer(tmp_path / "whole", bare_bert, head=True, pooling_mode="mean")
    folder = pickled(whole, tmp_path / "half", where="2_Dense")
    made = convert(locate(str(folder), None))
    assert json.loads((made.folder / "converted.json").read_text())["written"].keys() == {"2_Dense/model.safetensors"}
    assert scores(folder) == pytest.approx(scores(whole), abs=1e-6)


def test_tied_weights_load_after_conversion(sparse_bert, tmp_path):
    import torch
    from transformers import BertForMaskedLM

    folder = tmp_path / "mine"
    shutil.copytree(sparse_bert, folder)
    held = BertForMaskedLM.from_pretrained(sparse_bert).state_dict()
    decoder, words = "cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"
    assert held[decoder].data_ptr() == held[words].data_ptr()
    (folder / "model.safetensors").unlink()
    torch.save({**held, "slice": held[words][1:, ::2]}, folder / "pytorch_model.bin")
    convert(locate(str(folder), None))
    assert scores(folder) == pytest.approx(scores(sparse_bert), abs=1e-5)


def left_behind(name):
    return [path for path in (cache_root() / "converted" / name).iterdir() if path.suffix != ".lock"]


class Call:
    """Pickled as a call of ``function``."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def test_a_malicious_file_is_refused_in_one_line_and_does_not_run(dense_bert, tmp_path):
    import torch

    folder, sentinel = pickled(dense_bert, tmp_path / "evil"), tmp_path / "ran"
    torch.save({"weight": Call(os.system, f"touch {sentinel}")}, folder / "pytorch_model.bin")
    (failure,) = fetch([], [str(folder)], conversion=True)
    assert failure == Failure(
        str(folder),
        f"evil is not converted: pytorch_model.bin: it holds more than weights ({os.system.__module__}.system)",
        5,
    )
    assert not sentinel.exists()
    assert left_behind("evil") == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([1, 2], "it holds a list, not tensors by name"),
        ({}, "it holds a dict, not tensors by name"),
        ({"a": {"b": 1}}, "'a' is a dict, not a tensor"),
        ({1: None}, "1 is a NoneType, not a tensor"),
    ],
)
def test_a_file_that_holds_something_else_is_refused(content, says, tmp_path):
    import torch

    torch.save(content, tmp_path / "x.bin")
    with pytest.raises(TypeError, match=says):
        reading._rewrite(str(tmp_path / "x.bin"), str(tmp_path / "x.safetensors"))
    assert not (tmp_path / "x.safetensors").exists()


def test_a_file_that_nobody_can_read_is_one_line(dense_bert, tmp_path):
    folder = pickled(dense_bert, tmp_path / "odd")
    (folder / "pytorch_model.bin").write_bytes(b"\x00 no weights")
    with pytest.raises(
        Unavailable, match=r"^odd is not .*: it holds more than weights, or is damaged \(Unsupported op.{5,90}\)$"
    ) as caught:
        convert(locate(str(folder), None))
    assert not {"\n", "weights_only"} & set(str(caught.value).split(" "))


SPY = """
import _posixsubprocess, ctypes, os, socket, subprocess, sys
class Tensor: pass
def load(path, map_location, weights_only):
    assert weights_only is True
    assert not os.environ.keys() & {"HF_TOKEN", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"}
    assert not os.path.exists(os.path.expanduser("~/.bashrc")) and not os.path.isdir(os.path.expanduser("~"))
    victim = os.path.join(os.path.dirname(path), "config.json")
    tries = {
        "socket": lambda: socket.socket(),
        "resolve": lambda: socket.getaddrinfo("localhost", 80),
        "program": lambda: subprocess.run(["true"]),
        "shell": lambda: os.system("true"),
        "fork": lambda: os.fork(),
        "exec": lambda: os.execv("/bin/true", ["true"]),
        "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
        "below": lambda: _posixsubprocess.fork_exec(),
        "library": lambda: ctypes.CDLL(None).system(b"true"),
        "write": lambda: open(victim, "w"),
        "append": lambda: os.open(victim, os.O_WRONLY | os.O_APPEND),
        "remove": lambda: os.remove(victim),
        "rename": lambda: os.rename(victim, victim + "x"),
        "folder": lambda: os.mkdir(victim + "y"),
        "environment": lambda: os.environ.update(X="1"),
        "kill": lambda: os.kill(os.getppid(), 0),
    }
    held = []
    for name, attempt in tries.items():
        try:
            attempt()
        except PermissionError:
            held.append(name)
    raise ValueError(f"{len(tries)} tries, refused: {' '.join(held)}; isolated {sys.flags.isolated}")
"""


def spied(root, torch):
    """A folder of libraries that stand in for torch and safetensors."""
    stubs = {"torch.py": torch, "safetensors/__init__.py": "", "safetensors/torch.py": "save_file = None"}
    for name, text in stubs.items():
        (root / "spy" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "spy" / name).write_text(text)
    return root / "spy"


def readers(path):
    """The processes whose command line names ``path``."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (process / "cmdline").read_text(errors="replace")
            if str(path) in command and "reader()" in command:
                found.append(process.name)
    return found


def until(happens, seconds=30):
    """Wait for it; whether it came."""
    end = time.monotonic() + seconds
    while not happens() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(happens())


def test_the_process_that_reads_opens_no_socket_and_starts_no_program(dense_bert, tmp_path, monkeypatch):
    folder = pickled(dense_bert, tmp_path / "mine")
    monkeypatch.setattr(sys, "path", [str(spied(tmp_path, SPY)), *sys.path])
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".bashrc").write_text("")
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(Unavailable) as caught:
        convert(locate(str(folder), None))
    refused = "socket resolve program shell fork exec spawn below library write append remove rename folder"
    assert f"16 tries, refused: {refused} environment kill; isolated 1" in str(caught.value)
    assert (folder / "config.json").is_file()


NETWORKS = """
import os
class Tensor: pass
def load(path, map_location, weights_only):
    raise ValueError(os.readlink("/proc/self/ns/net"))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")
def test_where_the_kernel_allows_it_the_reader_has_a_network_of_its_own(dense_bert, tmp_path, monkeypatch):
    free = subprocess.run(["unshare", "--net", *(["--user"] if os.geteuid() else []), "true"], check=False).returncode
    if free:
        pytest.skip("not allowed here")
    monkeypatch.setattr(sys, "path", [str(spied(tmp_path, NETWORKS)), *sys.path])
    with pytest.raises(Unavailable, match=r"ValueError: net:") as caught:
        convert(locate(str(pickled(dense_bert, tmp_path / "mine")), None))
    assert os.readlink("/proc/self/ns/net") not in str(caught.value)


SLOW = """
import time
class Tensor: pass
def load(path, map_location, weights_only):
    time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a child that dies with its parent is Linux's")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_conversion_that_is_stopped_leaves_no_process_and_nothing_for_the_next(number, dense_bert, tmp_path):
    folder, made = pickled(dense_bert, tmp_path / "mine"), cache_root() / "converted" / "mine"
    spy = spied(tmp_path, SLOW)
    running = subprocess.Popen(
        [sys.executable, "-m", "jbench", "fetch", "--convert", str(folder)],
        env={**os.environ, "PYTHONPATH": str(spy)},
        stderr=subprocess.PIPE,
    )
    assert until(lambda: readers(spy))
    running.send_signal(number)
    said = running.communicate()[1].decode()
    assert running.returncode == (143 if number == signal.SIGTERM else -number)
    assert ("stopped; " in said, "Traceback" in said) == (number == signal.SIGTERM, False)
    assert until(lambda: not readers(spy))
    left = [path for path in made.iterdir() if path.suffix != ".lock"]
    assert len(left) == (0 if number == signal.SIGTERM else 1)
    convert(locate(str(folder), None))
    assert [path for path in made.iterdir() if path.suffix == ".tmp"] == []


def test_a_shard_that_is_missing_or_lies_elsewhere_is_named(dense_bert, tmp_path):
    folder = pickled(dense_bert, tmp_path / "mine", shards=2)
    (folder / "pytorch_model-00002-of-00002.bin").unlink()
    named = r"mine: pytorch_model-00002-of-00002\.bin, which pytorch_model\.bin\.index\.json names, is not there$"
    with pytest.raises(Unavailable, match=named):
        convert(locate(str(folder), None))
    shutil.copy(folder / "pytorch_model-00001-of-00002.bin", tmp_path / "outside.bin")
    index = {"weight_map": {"a": "../outside.bin"}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    with pytest.raises(Unavailable, match=r"\.\./outside\.bin, which .* names, is not there"):
        convert(locate(str(folder), None))


def test_a_conversion_that_is_broken_off_leaves_nothing_and_two_at_once_make_one(dense_bert, tmp_path, monkeypatch):
    folder, reads = pickled(dense_bert, tmp_path / "mine"), []
    known, apart = locate(str(folder), None), converting._read_apart

    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(converting, "_read_apart", stop)
        convert(known)
    assert left_behind("mine") == []

    def counted(*arguments):
        reads.append(1)
        return apart(*arguments)

    monkeypatch.setattr(converting, "_read_apart", counted)
    with ThreadPoolExecutor(3) as pool:
        folders = {made.folder for made in pool.map(convert, [known] * 3)}
    assert (len(folders), len(reads)) == (1, 1)


def test_a_disk_that_refuses_is_one_line(dense_bert, tmp_path, monkeypatch):
    folder = pickled(dense_bert, tmp_path / "mine")
    (cache_root() / "converted").write_text("a file")
    with pytest.raises(Unavailable, match=r"^cannot write .*converted/mine/local-\w+: "):
        convert(locate(str(folder), None))


def test_other_bytes_are_another_conversion(dense_bert, tmp_path):
    folder = pickled(dense_bert, tmp_path / "mine")
    first = locate(str(folder), None)
    convert(first)
    assert locate(str(folder), None).folder == conversion(first)
    (folder / "pytorch_model.bin").write_bytes(b"other")
    later = locate(str(folder), None)
    assert (later.revision != first.revision, later.folder) == (True, folder)


def altered(path):
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def re_recorded(path, **change):
    write(path, json.dumps({**json.loads(path.read_text()), **change}))


@pytest.mark.parametrize(
    "damage",
    [
        lambda made: altered(made / "model.safetensors"),
        lambda made: (made / "model.safetensors").unlink(),
        lambda made: write(made / "converted.json", "{}"),
        lambda made: write(made / "converted.json", "[]"),
        lambda made: re_recorded(made / "converted.json", converter=0),
        lambda made: re_recorded(made / "converted.json", read={"pytorch_model.bin": "0" * 64}),
    ],
)
def test_a_conversion_that_is_not_as_it_was_written_is_not_used_and_made_again(damage, dense_bert, tmp_path):
    folder = pickled(dense_bert, tmp_path / "mine")
    made = convert(locate(str(folder), None)).folder
    whole = state(made)
    damage(made)
    with pytest.raises(Unavailable, match=r"`jbench fetch --convert .*mine` writes them"):
        scores(folder)
    convert(locate(str(folder), None))
    assert state(made) == whole
    assert locate(str(folder), None).folder == made


def test_what_was_read_need_not_be_kept(dense_bert, hub, monkeypatch):
    pickled(dense_bert, hub.there / "org" / "name")
    list(fetch([], ["org/name"], conversion=True))
    (hub.cache / "models--org--name" / "snapshots" / COMMIT / "pytorch_model.bin").unlink()
    assert locate("org/name", None).folder.is_relative_to(cache_root())


@pytest.mark.parametrize("elsewhere", ["../outside", "absolute"])
def test_a_module_that_lies_elsewhere_is_neither_read_nor_written(elsewhere, dense_bert, tmp_path):
    folder, outside = pickled(dense_bert, tmp_path / "mine"), tmp_path / "outside"
    outside.mkdir()
    shutil.copy(folder / "pytorch_model.bin", outside)
    path = str(outside) if elsewhere == "absolute" else elsewhere
    rows = [
        *json.loads((folder / "modules.json").read_text()),
        {"path": path, "type": "sentence_transformers.models.Dense"},
    ]
    (folder / "modules.json").write_text(json.dumps(rows))
    (failure,) = fetch([], [str(folder)], conversion=True)
    assert failure.error == f"mine: modules.json names {path}, which lies outside the checkpoint"
    assert os.listdir(outside) == ["pytorch_model.bin"]
    with pytest.raises(Unavailable, match="would be written outside the checkpoint"):
        converting._fill(tmp_path / "made", locate(str(dense_bert), None), {"x.bin": "../x.safetensors"})


def test_two_shards_that_would_be_one_file_are_refused(dense_bert, tmp_path):
    folder = pickled(dense_bert, tmp_path / "mine", shards=2)
    index = json.loads((folder / "pytorch_model.bin.index.json").read_text())
    (folder / "pytorch_model-00002-of-00002.bin").rename(folder / "model-00001-of-00002.bin")
    index["weight_map"] = {k: v.replace("pytorch_model-00002", "model-00001") for k, v in index["weight_map"].items()}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    with pytest.raises(Unavailable, match=r"^mine: of model-00001.*, pytorch_model-00001.*, two would be one file$"):
        convert(locate(str(folder), None))


@pytest.mark.parametrize("named", [{}, [], None, {"a": 5}])
def test_an_index_that_names_no_files_is_refused(named, dense_bert, tmp_path):
    folder = pickled(dense_bert, tmp_path / "mine")
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": named}))
    with pytest.raises(Unavailable, match=r"^mine: pytorch_model\.bin\.index\.json names no file for each weight$"):
        convert(locate(str(folder), None))


def test_an_old_index_of_safetensors_is_left_behind(dense_bert, tmp_path):
    folder = pickled(dense_bert, tmp_path / "mine")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-00001-of-00002.safetensors"}}')
    convert(locate(str(folder), None))
    assert scores(folder) == pytest.approx(scores(dense_bert), abs=1e-6)


def test_a_conversion_that_nobody_could_use_is_not_kept(dense_bert, tmp_path):
    folder = pickled(dense_bert, tmp_path / "mine")
    for path in ("tokenizer.json", "vocab.txt"):
        (folder / path).unlink(missing_ok=True)
    with pytest.raises(Unavailable, match="mine: no tokenizer in it"):
        convert(locate(str(folder), None))
    assert left_behind("mine") == []


@pytest.mark.parametrize("repeated", [False, True])
def test_a_small_file_fills_no_disk(repeated, tmp_path):
    import torch

    one = torch.zeros(1 << 16)
    held = {str(i): one for i in range(200)} if repeated else {"a": torch.zeros(1).expand(1 << 36)}
    torch.save(held, tmp_path / "x.bin")
    with pytest.raises(ValueError, match=r"its tensors have|'a' has 274,877,906,944 bytes, its file 4 for them"):
        reading._rewrite(str(tmp_path / "x.bin"), str(tmp_path / "x.safetensors"))
    assert not (tmp_path / "x.safetensors").exists()


@pytest.mark.parametrize("string", ["", "dense:", " "])
def test_nothing_is_not_this_folder(string, dense_bert, monkeypatch):
    monkeypatch.chdir(dense_bert)
    (failure,) = fetch([], [string])
    assert (failure.exit, failure.error) == (2, "no checkpoint is named; one is org/name or ./folder (. for this one)")


def test_a_checkpoint_with_a_record_of_its_own_is_not_called_converted(dense_bert, hub):
    shutil.copytree(dense_bert, hub.there / "org" / "name")
    (hub.there / "org" / "name" / "converted.json").write_text("{}")
    (row,) = fetch([], ["org/name"])
    assert row.state == "fetched"


def test_where_there_are_safetensors_nothing_is_converted(dense_bert, tmp_path):
    import torch

    folder = tmp_path / "both"
    shutil.copytree(dense_bert, folder)
    torch.save({"a": Call(os.system, f"touch {tmp_path / 'ran'}")}, folder / "pytorch_model.bin")
    (row,) = fetch([], [str(folder)], conversion=True)
    assert row.source.startswith("local:both@local-")
    assert convert(locate(str(folder), None)).folder == folder
    assert not (cache_root() / "converted").exists()
    assert not (tmp_path / "ran").exists()


class Hub:
    """Stands in for the hub: what is there, what lies in the cache, which files were asked for."""

    def __init__(self, root, monkeypatch):
        import huggingface_hub

        self.there, self.cache, self.calls, self.up = root / "there", root / "cache", [], True
        monkeypatch.setattr(huggingface_hub, "snapshot_download", self.download)

    def download(self, repo, *, revision, local_files_only, allow_patterns=("*",), ignore_patterns=()):
        """As the client: links by name to blobs, nothing over the network when only local files are asked for."""
        self.calls.append((repo, revision, local_files_only))
        snapshot = self.cache / f"models--{repo.replace('/', '--')}" / "snapshots" / COMMIT
        if not self.up or local_files_only:
            if not snapshot.is_dir():
                raise OSError("not cached")
            return str(snapshot)
        for path in (self.there / repo).rglob("*"):
            name = path.relative_to(self.there / repo).as_posix()
            wanted = any(fnmatch(name, p) for p in allow_patterns) and not any(
                fnmatch(name, p) for p in ignore_patterns
            )
            if path.is_file() and wanted and not (snapshot / name).exists():
                blob = snapshot.parents[1] / "blobs" / file_sha256(path)
                blob.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, blob)
                (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
                (snapshot / name).symlink_to(blob)
        return str(snapshot)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    return Hub(tmp_path / "hub", monkeypatch)


def names(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_checkpoint_of_the_hub_is_fetched_once_and_works_without_network(dense_bert, hub, monkeypatch, no_network):
    shutil.copytree(dense_bert, hub.there / "org" / "name")
    (hub.there / "org" / "name" / "pytorch_model.bin").write_bytes(b"never fetched")
    (row,) = fetch([], ["org/name"])
    kept = names(hub.there / "org" / "name") - {"pytorch_model.bin"}
    size = sum((hub.there / "org" / "name" / name).stat().st_size for name in kept)
    assert row == Fetched("org/name", f"hub:org/name@{COMMIT}", len(kept), size, "fetched")
    monkeypatch.setattr("jbench.fetch._TICK", -1_000_000_000)  # a later command
    monkeypatch.setenv("JBENCH_OFFLINE", "1")
    (again,) = fetch([], ["org/name"])
    assert again.state == "at hand"
    assert hub.calls[-1][-1] is True
    assert scores("org/name") == pytest.approx(scores(dense_bert), abs=1e-6)


def test_a_checkpoint_of_the_hub_is_converted_from_weights_that_are_fetched_for_it(
    dense_bert, hub, monkeypatch, no_network
):
    source = pickled(dense_bert, hub.there / "org" / "name", shards=2)
    (source / "training_args.bin").write_bytes(b"never fetched")
    (plain,) = fetch([], ["org/name"])
    assert (plain.exit, "`jbench fetch --convert org/name` writes them" in plain.error) == (5, True)
    snapshot = hub.cache / "models--org--name" / "snapshots" / COMMIT
    assert not [name for name in names(snapshot) if name.endswith(".bin")]
    (row,) = fetch([], ["org/name@main"], conversion=True)
    assert (row.source, row.state) == (f"hub:org/name@{COMMIT}", "converted")
    assert hub.calls[-2:] == [("org/name", "main", False), ("org/name", COMMIT, False)]
    assert {name for name in names(snapshot) if name.endswith(".bin")} == {
        f"pytorch_model-0000{i}-of-00002.bin" for i in (1, 2)
    }
    monkeypatch.setenv("JBENCH_OFFLINE", "1")
    card = open_model("org/name").card
    assert (card.model, card.revision) == ("org/name", COMMIT)
    assert scores("org/name") == pytest.approx(scores(dense_bert), abs=1e-6)
    made = locate("org/name", "called")
    assert (made.model, made.hub_id) == ("called", "org/name")
    assert made.folder == cache_root() / "converted" / "org%2Fname" / COMMIT


@pytest.mark.parametrize("revision", [None, "v7"])
def test_what_an_adapter_is_laid_over_is_fetched_at_its_revision(
    revision, dense_bert, hub, tmp_path, monkeypatch, no_network
):
    local = tiny.adapter(tmp_path / "adapter", dense_bert)
    named = {"base_model_name_or_path": "org/base", "revision": revision}
    tiny.adapter(hub.there / "org" / "adapter", dense_bert, **named)
    shutil.copytree(dense_bert, hub.there / "org" / "base")
    row, base = fetch([], ["org/adapter"])
    assert (row.source, base.source) == (f"hub:org/adapter@{COMMIT}", f"hub:org/base@{COMMIT}")
    assert ("org/base", revision, False) in hub.calls
    monkeypatch.setenv("JBENCH_OFFLINE", "1")
    assert scores("org/adapter") == pytest.approx(scores(local), abs=1e-6)
    known = locate("org/adapter", None).identity
    assert "base/model.safetensors" in known.files
    blob = (hub.cache / "models--org--base" / "snapshots" / COMMIT / "model.safetensors").resolve()
    altered(blob)
    assert locate("org/adapter", None).identity.digest != known.digest


def test_a_base_that_is_not_at_hand_is_one_line(dense_bert, hub, monkeypatch, no_network):
    tiny.adapter(hub.there / "org" / "adapter", dense_bert, base_model_name_or_path="org/base")
    hub.download("org/adapter", revision=None, local_files_only=False)
    monkeypatch.setenv("JBENCH_OFFLINE", "1")
    with pytest.raises(Unavailable, match=r"^org/base is not in the hub cache and the network is off; .*jbench fetch"):
        open_model("org/adapter")


CODE_FROM_ELSEWHERE = """
import json, sys
from jbench import open_model
from jbench.fetch import fetch
from jbench.models.options import Options

model = open_model(sys.argv[1], Options(trust_remote_code=True))
scores = model.score([("雨が降る", "雨だ"), ("犬", "株価")], ("sts", "sts")).tolist()
files = sorted(model.weights.checkpoint.identity.files)
print(json.dumps([scores, model.card.digest, files, [row.source for row in fetch([], sys.argv[1:2])]]))
"""


def test_code_that_lies_in_another_repository_is_part_of_the_checkpoint(bare_bert, tmp_path):
    folder = tiny.own_code(tmp_path / "mine", bare_bert, repo="org/code")
    cache = tmp_path / "hub" / "hub" / "models--org--code"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text(COMMIT)
    code = cache / "snapshots" / COMMIT
    code.mkdir(parents=True)

    def run():
        done = subprocess.run(
            [sys.executable, "-c", CODE_FROM_ELSEWHERE, str(folder)], capture_output=True, text=True, check=False,
            env={**os.environ, "HF_HOME": str(tmp_path / "hub"), "JBENCH_OFFLINE": "1", "HF_HUB_OFFLINE": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    for name, text in tiny.OWN_CODE.items():
        (code / name).write_text(text)
    (code / "unused.py").write_text("")
    figures, digest, files, sources = run()
    assert [name for name in files if name.startswith("org/")] == [
        f"org/code--{name}" for name in sorted(tiny.OWN_CODE)
    ]
    assert sources == [f"local:mine@{locate(str(folder), None).revision}", f"hub:org/code@{COMMIT}"]
    (code / "part.py").write_text("SCALE = -1.0\n")
    again = run()
    assert again[1] != digest
    assert again[0] == pytest.approx(figures, abs=1e-6)  # of opposite vectors


def test_without_network_what_was_not_fetched_is_one_line(dense_bert, hub, monkeypatch, no_network):
    pickled(dense_bert, hub.there / "org" / "bin")
    list(fetch([], ["org/bin"]))
    monkeypatch.setenv("JBENCH_OFFLINE", "1")
    converted, absent = fetch([], ["org/bin", "sparse:org/other@v1"], conversion=True)
    assert converted.error == "org/bin: pytorch_model.bin is not there and the network is off"
    assert absent.error == (
        "org/other@v1 is not in the hub cache and the network is off; "
        "on a machine with network, `jbench fetch org/other@v1` fills the cache"
    )
    with pytest.raises(Unavailable, match="`jbench fetch org/other` fills the cache"):
        open_model("org/other")


CONTENT = '{"sentence1": "雨が降る", "sentence2": "雨だ", "label": 4.0}\n'.encode()


@pytest.fixture
def web(monkeypatch):
    """A web that has one file; the addresses asked for."""
    import requests

    asked = []

    def get(url, **options):
        asked.append(url)
        answer = requests.Response()
        answer.status_code = 200 if url.endswith("/data/x.jsonl") else 404
        answer.raw = io.BytesIO(CONTENT)
        return answer

    monkeypatch.setattr(requests, "get", get)
    return asked


def sts(name, path):
    import hashlib

    file = github("org/data", COMMIT, path, hashlib.sha256(CONTENT).hexdigest())

    def load():
        rows = file.jsonl()
        return Pairs(*([row[key] for row in rows] for key in ("sentence1", "sentence2", "label")))

    return STS(name=name, protocol="v1", version=1, load=load, license="CC0-1.0")


def test_the_files_of_tasks_are_fetched_once_and_work_without_network(web, monkeypatch, no_network):
    task = sts("one", "data/x.jsonl")
    (row,) = fetch([task], [])
    assert row == Fetched("one@v1", f"github:org/data@{COMMIT[:7]}", 1, len(CONTENT), "fetched")
    assert len(web) == 1
    monkeypatch.setattr("jbench.fetch._TICK", -1_000_000_000)  # a later command
    monkeypatch.setenv("JBENCH_OFFLINE", "1")
    (again,) = fetch([task, task][:1], [])
    assert (again.state, len(web)) == ("at hand", 1)


def test_one_failure_never_stops_the_rest(web, dense_bert, tmp_path):
    def broken():
        raise ZeroDivisionError("a\nb")

    number = next(task for task in own_tasks().values() if task.group == PUBLISHED)
    bug = STS(name="bug", protocol="v1", version=1, load=broken, license="CC0-1.0")
    tasks = [sts("gone", "data/y.jsonl"), bug, number, sts("there", "data/x.jsonl")]
    models = [
        "./nowhere",
        "rrf(ngram",
        "bm25:x",
        "run:mine.trec",
        f"rerank(bm25:mecab, 10, dense:{dense_bert})",
        "ngram",
    ]
    said = []
    outcomes = list(fetch(tasks, models, say=said.append))
    failed = {o.what: (o.exit, o.error) for o in outcomes if isinstance(o, Failure)}
    assert {what: code for what, (code, _) in failed.items()} == {
        "gone@v1": 5, "bug@v1": 1, number.id: 2, "./nowhere": 5, "rrf(ngram": 2, "bm25:x": 2,
    }  # fmt: skip
    assert failed["bug@v1"][1] == "ZeroDivisionError: a b"
    assert "cannot be run, only published numbers exist" in failed[number.id][1]
    assert "did you mean bm25" in failed["bm25:x"][1]
    assert [(o.what, o.state) for o in outcomes if isinstance(o, Fetched)] == [
        ("there@v1", "fetched"),
        ("run:mine.trec", "needs nothing"),
        ("bm25:mecab", "needs nothing"),
        (f"dense:{dense_bert}", "at hand"),
        ("ngram", "needs nothing"),
    ]
    assert said[0] == "fetching gone@v1"
    assert not [o for o in outcomes if isinstance(o, Failure) and "\n" in o.error]


SIZES = {
    0: "0 B", 999: "999 B", 1000: "1.0 kB", 99_949: "99.9 kB", 99_950: "100 kB", 999_499: "999 kB", 999_500: "1.0 MB",
    2_345_678_901: "2.3 GB", 10**16: "10000 TB",
}  # fmt: skip


@pytest.mark.parametrize(("number", "size"), SIZES.items())
def test_sizes_are_for_people(number, size):
    assert Fetched("x", "y", 1, number, "at hand").size == size


def test_the_table_and_the_json_say_what_came_and_what_did_not(tmp_path, dense_bert):
    command = ["fetch", "--task", "mini-sts@v1", "ngram", "./nowhere", dense_bert]
    done = jbench(*command, cwd=tmp_path, code=5)
    assert [row.split()[0] for row in done.stdout.splitlines()] == ["what", "mini-sts@v1", "ngram", str(dense_bert)]
    assert "local:sts.jsonl" in done.stdout
    assert line(done) == "error: ./nowhere: checkpoint folder ./nowhere does not exist"
    rows = json.loads(jbench(*command, "--json", cwd=tmp_path, code=5).stdout)
    assert rows[2] == {"what": "./nowhere", "error": "checkpoint folder ./nowhere does not exist", "exit": 5}
    assert rows[3].keys() == {"what", "source", "files", "bytes", "state"}
    assert (rows[3]["files"], rows[3]["state"]) == (len(names(dense_bert)), "at hand")
    assert rows[3]["bytes"] == sum(path.stat().st_size for path in dense_bert.rglob("*") if path.is_file())
    assert not list(tmp_path.iterdir())


def test_a_board_brings_its_tasks_and_its_models(tmp_path):
    rows = json.loads(jbench("fetch", "--board", "mini", "--json", cwd=tmp_path).stdout)
    tasks = {f"mini-{name}@v1" for name in ("sts", "retrieval", "rerank", "qa")}
    assert {row["what"] for row in rows} == {*tasks, "bm25:char-bigram", "bm25:mecab", "ngram"}
    only = json.loads(jbench("fetch", "--board", "mini", "ngram", "--json", cwd=tmp_path).stdout)
    assert len(only) == len(rows) - 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["fetch"], "name what to fetch: --task ID, --board NAME, or a model such as org/name"),
        (["fetch", "--board", "mini", "--task", "mini-sts"], "give --board or --task, not both"),
        (["fetch", "--task", "mini-stt"], "unknown task 'mini-stt'; did you mean mini-sts"),
    ],
)
def test_what_is_typed_wrong_is_one_line(arguments, says, tmp_path):
    done = jbench(*arguments, cwd=tmp_path, code=2)
    assert says in line(done)
    assert done.stdout == ""


@pytest.mark.long
def test_a_conversion_asked_for_at_the_command_line_serves_a_run(tmp_path, dense_bert):
    pickled(dense_bert, tmp_path / "mine")
    assert "converted" in jbench("fetch", "--convert", "./mine", cwd=tmp_path).stdout
    (result,) = json.loads(jbench("run", "./mine", "--task", "mini-sts@v1", "--json", cwd=tmp_path).stdout)
    assert (result["model"], result["revision"]) == ("mine", locate(str(tmp_path / "mine"), None).revision)


def test_the_reader_is_isolated_from_where_it_is_started(tmp_path, dense_bert, monkeypatch):
    folder = pickled(dense_bert, tmp_path / "mine")
    (tmp_path / "torch.py").write_text("raise SystemExit('the wrong torch')")
    (tmp_path / "safetensors.py").write_text("raise SystemExit('the wrong safetensors')")
    done = subprocess.run(
        [sys.executable, "-m", "jbench", "fetch", "--convert", str(folder)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "JBENCH_OFFLINE": "1", "PYTHONSTARTUP": "x"},
    )  # fmt: skip
    assert (done.returncode, "converted" in done.stdout) == (0, True), done.stderr
    assert Path(cache_root(), "converted", "mine").is_dir()


def test_real_tasks_are_brought_from_the_mirror(mirror):
    (row,) = fetch(find_tasks(["jsts@valid1457"]), [])
    assert (row.source, row.files, row.state) == ("github:yahoojapan/JGLUE@6f071c0", 1, "at hand")
