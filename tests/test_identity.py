"""A checkpoint is the files that loading it opens: no fewer, no more, and as they were when they were opened."""

import json
import os
import random
import shutil
import sys

import pytest
from _pytest.monkeypatch import derive_importpath

from jbench import STS, Collection, Pairs, Retrieval, open_model
from jbench.cache import cache_root
from jbench.evaluate import Failure, evaluate
from jbench.models.identity import identify
from jbench.models.locate import locate
from jbench.models.options import Options
from jbench.types import Unavailable
from tests import tiny
from tests.listen import listening
from tests.test_cli import jbench

PAIRS = [(a, b) for a in tiny.CORPUS for b in tiny.CORPUS]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
KINDS = (
    "dense_bert",
    "dense_unigram",
    "colbert_native",
    "colbert_pylate",
    "colbert_stanford",
    "cross_bert",
    "sparse_bert",
)


def digest(folder, trusted=False):
    return locate(str(folder), None, trusted).identity.digest


def scored(folder, **options):
    return open_model(str(folder), Options(**options)).score(PAIRS, ("sts", "sts"))


def compared(folder, options=None):
    """The names of the files that loading a checkpoint opens, and of those that its revision is taken of."""
    model = open_model(str(folder), options or Options())
    files = model.weights.checkpoint.identity.files
    with listening(folder) as heard:
        _ = model.weights.module
    return {path.relative_to(folder).as_posix() for path in heard}, {
        file.path.relative_to(folder).as_posix() for file in files.values() if file.path.is_relative_to(folder)
    }


@LINUX
@pytest.mark.parametrize("kind", KINDS)
def test_the_revision_is_taken_of_the_files_that_loading_opens(kind, request):
    opened, known = compared(request.getfixturevalue(kind))
    assert opened - {"README.md"} == known


@LINUX
def test_so_it_is_of_what_is_in_other_folders_or_has_other_names(bare_bert, dense_bert, tmp_path):
    whole = tiny.sentence_transformer(tmp_path / "whole", bare_bert, head=True, pooling_mode="mean")
    rows = json.loads((whole / "modules.json").read_text())
    (whole / rows[2]["path"]).rename(whole / ".hidden")
    rows[2]["path"] = ".hidden"
    (whole / "modules.json").write_text(json.dumps(rows))
    (whole / "sentence_bert_config.json").rename(whole / "sentence_roberta_config.json")
    opened, known = compared(whole)
    assert {".hidden/model.safetensors", "sentence_roberta_config.json"} <= known
    assert opened - {"README.md"} == known


@LINUX
def test_so_it_is_of_shards(dense_bert, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "shards"
    shutil.copytree(dense_bert, folder)
    weights = list(load_file(folder / "model.safetensors").items())
    (folder / "model.safetensors").unlink()
    for i in range(2):
        save_file(dict(weights[i::2]), folder / f"part-{i}.safetensors", metadata={"format": "pt"})
    index = {name: f"part-{i % 2}.safetensors" for i, (name, _) in enumerate(weights)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    opened, known = compared(folder)
    assert {"part-0.safetensors", "part-1.safetensors", "model.safetensors.index.json"} <= known
    assert opened - {"README.md"} == known
    assert scored(folder) == pytest.approx(scored(dense_bert), abs=1e-6)


@LINUX
def test_so_it_is_of_an_adapter_and_its_base(dense_bert, tmp_path):
    base = tmp_path / "base"
    shutil.copytree(dense_bert, base)
    folder = tiny.adapter(tmp_path / "adapter", base)
    model = open_model(str(folder))
    known = model.weights.checkpoint.identity.files
    with listening(folder, base) as heard:
        _ = model.weights.module
    assert {
        "adapter_model.safetensors",
        "adapter_config.json",
        "base/config.json",
        "base/model.safetensors",
    } <= known.keys()
    assert heard == {file.path for file in known.values()}


@LINUX
def test_so_it_is_of_code_that_is_trusted(bare_bert, tmp_path):
    folder = tiny.own_code(tmp_path / "own", bare_bert)
    opened, known = compared(folder, Options(trust_remote_code=True))
    assert known >= tiny.OWN_CODE.keys()
    assert opened - {"README.md"} == known
    assert not locate(str(folder), None).identity.files.keys() & tiny.OWN_CODE.keys()


BESIDE = (
    *("README.md", "notes.txt", "LICENSE", ".gitattributes", ".DS_Store", "model.png", "results.json", "eval.csv"),
    *("eval/similarity_evaluation_results.csv", "jbench-results/m/r/t.json", "out/m/r/t.json", "trainer_state.json"),
    *("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin", "all_results.json", "tf_model.h5"),
    *("onnx/model.onnx", "openvino/openvino_model.xml", "checkpoint-500/model.safetensors", "training_manifest.json"),
    *(
        "pytorch_model.bin",
        "model.fp16.safetensors",
        "1_Pooling/README.md",
        ".cache/huggingface/x.lock",
        "modeling_x.py",
    ),
)


def test_what_is_not_loaded_changes_nothing(dense_bert, tmp_path):
    folder, before = tmp_path / "mine", digest(dense_bert)
    shutil.copytree(dense_bert, folder)
    for name in BESIDE:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"# anything\n")
        assert digest(folder) == before, name


@pytest.mark.parametrize("kind", KINDS)
def test_each_file_that_is_loaded_makes_another_checkpoint(kind, request, tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(request.getfixturevalue(kind), folder)
    whole = locate(str(folder), None).identity
    for file in whole.files.values():
        content = file.path.read_bytes()
        file.path.write_bytes(content + b" ")
        assert identify("m", {name: one.path for name, one in whole.files.items()}).digest != whole.digest
        file.path.write_bytes(content)
    assert digest(folder) == whole.digest


ADDED = (
    "added_tokens.json",
    "chat_template.jinja",
    "additional_chat_templates/x.jinja",
    "spiece.model",
    "model.safetensors",
)


@pytest.mark.parametrize("name", ADDED)
def test_a_file_that_would_be_loaded_and_comes_later_makes_another_checkpoint(name, bare_bert, tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(bare_bert, folder)
    (folder / "model.safetensors").rename(folder / "x.safetensors")
    index = {"metadata": {}, "weight_map": {"a": "x.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    before = digest(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"{}")
    assert digest(folder) != before


def other_weights(folder):
    """Other weights of the same size, as the bytes of a file."""
    from safetensors.torch import load_file, save

    return save({name: value.flip(0) + 0.25 for name, value in load_file(folder).items()}, {"format": "pt"})


def in_place(path, content):
    """Written over, with the size, inode and time of modification that it had."""
    stat = path.stat()
    assert len(content) == stat.st_size
    with open(path, "r+b") as file:
        file.write(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns, path.stat().st_ino) == (
        stat.st_size, stat.st_mtime_ns, stat.st_ino,
    )  # fmt: skip


def renamed(path, content):
    """Replaced by another file, as a trainer saves."""
    path.with_name("new").write_bytes(content)
    os.replace(path.with_name("new"), path)


def test_other_bytes_of_the_same_size_and_time_are_another_checkpoint(dense_bert, tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(dense_bert, folder)
    known = locate(str(folder), None)
    content = other_weights(folder / "model.safetensors")
    in_place(
        folder / "model.safetensors", content + b" " * ((folder / "model.safetensors").stat().st_size - len(content))
    )
    assert digest(folder) != known.identity.digest
    with pytest.raises(Unavailable, match=r"^mine: model.safetensors changed after its revision was taken.*run again$"):
        known.identity.check()


class Steps:
    """The steps of a run, of hashing, loading, encoding, storing and saving; ``act`` is done at one of them."""

    PLACES = (
        "jbench.models.identity.known_sha256",
        "jbench.models.locate.identify",
        "sentence_transformers.SentenceTransformer.__init__",
        "jbench.models.neural._check_complete",
        "jbench.encode.Encoder.__call__",
        "jbench.store.Shards.add",
        "jbench.store.Shards.flush",
        "jbench.evaluate.evaluate_one",
        "jbench.results.make",
        "jbench.results.save",
    )

    def __init__(self, monkeypatch, at=None, act=None):
        self.count, self.at, self.act = 0, at, act
        for place in self.PLACES:
            name, owner = derive_importpath(place, raising=True)
            monkeypatch.setattr(owner, name, self._stepped(getattr(owner, name)))

    def _stepped(self, function):
        def stepped(*arguments, **named):
            self._step()
            try:
                return function(*arguments, **named)
            finally:
                self._step()

        return stepped

    def _step(self):
        if self.count == self.at:
            self.act()
        self.count += 1


DOCUMENTS = {str(i): text for i, text in enumerate(tiny.CORPUS)}
GOLD = [float(i % 7) for i in range(len(PAIRS))]
COMMON = {"protocol": "v1", "version": 1, "license": "CC0-1.0"}


def texts():
    queries = {i: text[::-1] for i, text in DOCUMENTS.items()}
    return Collection.of(queries, DOCUMENTS, {i: {i: 1} for i in DOCUMENTS})


TASKS = [
    STS(name="pairs", load=lambda: Pairs(*zip(*PAIRS, strict=True), GOLD), **COMMON),
    Retrieval(name="texts", load=texts, **COMMON),
]


def figures(folder, root):
    """What is measured of a checkpoint, with the store: the outcomes, and the scores by digest and task."""
    outcomes = list(evaluate([str(folder)], TASKS, root, Options(store=True)))
    found = [one for one in outcomes if not isinstance(one, Failure)]
    return outcomes, {(one.digest, one.task): (one.main, one.scores) for one in found}


@pytest.fixture(scope="module")
def two(dense_bert, tmp_path_factory):
    """Two checkpoints that differ in their weights alone."""
    one, other = (tmp_path_factory.mktemp(name) / "mine" for name in ("one", "other"))
    shutil.copytree(dense_bert, one)
    shutil.copytree(dense_bert, other)
    (other / "model.safetensors").write_bytes(other_weights(one / "model.safetensors"))
    return one, other


def moments(count):
    return pytest.param(count, marks=pytest.mark.long if count > 4 else ())


@pytest.mark.parametrize("count", [moments(4), moments(20)])
def test_weights_that_are_replaced_give_a_line_or_the_figures_of_those_that_were_opened(
    count, two, tmp_path, monkeypatch
):
    true = {}
    for i, folder in enumerate(two):
        monkeypatch.setenv("JBENCH_HOME", str(tmp_path / "homes" / str(i)))
        true |= figures(folder, tmp_path / "true" / str(i))[1]
    assert len(true) == 4
    monkeypatch.setenv("JBENCH_HOME", str(tmp_path / "homes" / "all"))
    with monkeypatch.context() as patched:
        steps = Steps(patched)
        figures(two[0], tmp_path / "all")
    content, ways, lines, kept = (two[1] / "model.safetensors").read_bytes(), (renamed, in_place), 0, 0
    for i, at in enumerate(sorted(random.Random(20).sample(range(steps.count), count))):
        folder, home = tmp_path / f"run{i}" / "mine", tmp_path / "homes" / f"run{i}"
        shutil.copytree(two[0], folder)
        monkeypatch.setenv("JBENCH_HOME", str(home))
        with monkeypatch.context() as patched:
            replaced = Steps(
                patched, at, lambda folder=folder, way=ways[i % 2]: way(folder / "model.safetensors", content)
            )
            outcomes, found = figures(folder, tmp_path / "results" / str(i))
        assert replaced.count > at
        assert found.items() <= true.items(), at
        failures = [one for one in outcomes if isinstance(one, Failure)]
        assert {(one.exit, one.error) for one in failures} <= {(5, SAID)}, at
        lines, kept = lines + len(failures), kept + len(found)
        # What the store holds now is each one's own.
        for j, whole in enumerate(two):
            assert figures(whole, tmp_path / "again" / f"{i}-{j}")[1].items() <= true.items(), at
    print(f"{count} moments of {steps.count} steps: {lines} lines, {kept} results")
    assert lines
    assert kept


SAID = "mine: model.safetensors changed after its revision was taken, so nothing more is kept; run again"


def test_what_is_not_of_the_opened_weights_is_never_stored(two, tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(two[0], folder)
    model = open_model(str(folder), Options(store=True))
    _ = model.weights.module
    renamed(folder / "model.safetensors", (two[1] / "model.safetensors").read_bytes())
    with pytest.raises(Unavailable, match=SAID):
        model.score(PAIRS, ("sts", "sts"))
    assert not list((cache_root() / "embeddings").rglob("*.safetensors"))


def test_a_file_that_comes_while_the_model_loads_is_noticed(dense_bert, tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(dense_bert, folder)
    model = open_model(str(folder))
    (folder / "added_tokens.json").write_text('{"雨": 599}')
    with pytest.raises(Unavailable, match=r"^mine: added_tokens.json changed after its revision was taken"):
        _ = model.weights.module


STRAY = "\n\nclass Conf(Conf):\n    def __init__(self, **named):\n        super().__init__(**named)\n"


def test_a_file_that_own_code_opens_is_part_of_the_revision_from_then_on(bare_bert, tmp_path):
    folder = tiny.own_code(tmp_path / "own", bare_bert)
    opens = f"        open({str(folder)!r} + '/sca' + 'le.json').close()\n"
    (folder / "conf_x.py").write_text(tiny.OWN_CODE["conf_x.py"] + STRAY + opens)
    (folder / "scale.json").write_text("1")
    trusting = Options(trust_remote_code=True)
    with pytest.raises(Unavailable, match=r"own: loading it opened scale.json, which is part of its revision from now"):
        _ = open_model(str(folder), trusting).weights.module
    _ = open_model(str(folder), trusting).weights.module
    before = digest(folder, trusted=True)
    (folder / "scale.json").write_text("2")
    assert digest(folder, trusted=True) != before


def test_a_file_that_own_code_names_is_part_of_the_revision(bare_bert, tmp_path):
    folder = tiny.own_code(tmp_path / "own", bare_bert)
    before = digest(folder, trusted=True)
    (folder / "words").mkdir()
    (folder / "words" / "table.json").write_text("{}")
    assert digest(folder, trusted=True) != before
    for name in tiny.OWN_CODE:
        known = digest(folder, trusted=True)
        (folder / name).write_text((folder / name).read_text() + "\n")
        assert digest(folder, trusted=True) != known


def test_results_inside_the_checkpoint_and_its_card_leave_it_what_it_is(dense_bert, tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(dense_bert, folder)
    run = ("run", "./mine", "--task", "mini-sts@v1", "--results", "mine", "--json")
    (first,) = json.loads(jbench(*run, cwd=tmp_path).stdout)
    jbench("export", "mine", "--results", "mine", "--output", "mine/README.md", cwd=tmp_path)
    (again,) = json.loads(jbench(*run, cwd=tmp_path).stdout)
    assert (again["digest"], again["host"]["stored"]) == (first["digest"], True)
    assert first["revision"] == f"local-{first['digest'][:12]}"
    assert len(first["digest"]) == 64
