"""The embedding store: what was encoded once is read, whole and exact, and never more than it may take."""

import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from jbench import open_model, store
from jbench.encode import Encoder, Reader, Tokenized
from jbench.models.options import Options
from jbench.store import _marks, _narrowed
from jbench.types import Texts, UsageError, silent
from tests.test_cli import jbench, line
from tests.tiny import CORPUS

ROLES = ("sts", "sts")
PAIRS = [(a, b) for a in CORPUS[:4] for b in CORPUS[:4]]


def shelf(facts="a model", dtype="float32", say=None):
    about = {"model": facts, "revision": "", "settings": {}}
    return store.opened({"is": facts}, lambda: about, dtype, say or pytest.fail)


def test_what_is_added_is_found_by_another_process_of_the_same_model():
    one = shelf()
    one.add("", "味噌", np.float32([0.1, -2.5]), 3)
    one.flush()
    found = shelf().find("", ["醤油", "味噌"]) + shelf().find("q: ", ["味噌"])
    assert (found[0], found[2]) == (None, None)
    assert (found[1][0].tolist(), found[1][1]) == (np.float32([0.1, -2.5]).tolist(), 3)
    assert shelf("another model").find("", ["味噌"]) == [None]


def test_matrices_keep_their_lengths():
    one = shelf()
    rows = [np.arange(2 * n, dtype=np.float32).reshape(n, 2) for n in (3, 0, 1)]
    for i, row in enumerate(rows):
        one.add("", str(i), row, i)
    one.flush()
    again = shelf().find("", ["2", "0", "1"])
    assert [value.tolist() for value, _ in again] == [rows[i].tolist() for i in (2, 0, 1)]
    assert [lost for _, lost in again] == [2, 0, 1]


NARROWED = [
    ("bfloat16", [1.0, -0.15625, 3.0], 2),
    ("bfloat16", [0.1], 4),  # not a bfloat16
    ("float16", [0.0999755859375, -2.0], 2),
    ("float16", [0.1], 4),
    ("float16", [1e30], 4),  # beyond it
    ("float32", [1.0], 4),
]


@pytest.mark.parametrize(("dtype", "values", "size"), NARROWED)
def test_values_are_stored_in_the_dtype_computed_where_it_holds_them_exactly(dtype, values, size):
    assert _narrowed(np.float32([values]), dtype)[0].itemsize == size
    one = shelf(dtype=dtype)
    one.add("", "t", np.float32(values), 0)
    one.flush()
    assert shelf(dtype=dtype).find("", ["t"])[0][0].tolist() == np.float32(values).tolist()


texts = st.text(max_size=3)


@given(st.lists(st.tuples(texts, texts), max_size=20))
def test_marks_tell_pairs_apart_and_ways(pairs):
    assert len({mark.tobytes() for mark in _marks("", pairs)}) == len(set(pairs))
    assert len({_marks(way, [text]).tobytes() for way, text in pairs}) == len(set(pairs))


def test_a_torn_shard_is_as_if_it_were_not_there():
    one = shelf()
    for i in range(3):
        one.add("", str(i), np.float32([i]), 0)
        one.flush()
    first, second, _ = sorted(one.folder.glob("*.safetensors"))
    first.write_bytes(first.read_bytes()[:-3])
    second.write_bytes(b"no shard")
    assert [known and known[0].tolist() for known in shelf().find("", ["0", "1", "2"])] == [None, None, [2.0]]


@pytest.mark.parametrize(
    "broken",
    [
        {"marks": np.zeros((0, 2), np.uint64)},
        {"lost": np.zeros(5, np.int32)},
        {"values": np.zeros((), np.float32)},
        {"lengths": np.int32([4095, 4095])},
        {"lengths": np.int32([1])},
    ],
)
def test_a_shard_that_does_not_hold_together_is_as_if_it_were_not_there(broken):
    one = shelf()
    for text in "ab":
        one.add("", text, np.float32([[1, 2], [3, 4]]), 0)
    one.flush()
    (path,) = one.folder.glob("*.safetensors")
    save_file({**load_file(path), **broken}, path, {"values": "float32"})
    assert shelf().find("", ["a", "b"]) == [None, None]


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
def test_a_device_that_is_not_there_is_refused_also_where_all_is_stored(dense_bert, device, tmp_path):
    import torch

    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("this machine has one")
    run = ("run", dense_bert, "--task", "mini-qa", "--overwrite")
    jbench(*run, cwd=tmp_path)
    refused = jbench(*run, "--device", device, cwd=tmp_path, code=2)
    assert f"--device {device}: this torch sees no {device.partition(':')[0].upper()} device" in refused.stderr


def test_what_was_used_longest_ago_is_removed_first(monkeypatch):
    wide = np.zeros(1024, np.float32)
    monkeypatch.setenv("JBENCH_STORE_GIB", str(11_000 / 2**30))
    for i, name in enumerate(("old", "new")):
        one = shelf(name)
        one.add("", "t", wide, 0)
        one.flush()
        os.utime(one.folder / store.ABOUT, (i, i))
    shelf("old").find("", ["t"])  # used again
    third = shelf("third")
    third.add("", "t", wide, 0)
    third.flush()
    assert sorted(one.about["model"] for one in store.stored()) == ["old", "third"]


def test_a_store_too_small_for_one_model_leaves_the_others(monkeypatch):
    one = shelf("old")
    one.add("", "t", np.zeros(4, np.float32), 0)
    one.flush()
    monkeypatch.setenv("JBENCH_STORE_GIB", "0")
    other = shelf("new", say=lambda message: None)
    other.add("", "t", np.zeros(4, np.float32), 0)
    other.flush()
    assert [one.about["model"] for one in store.stored()] == ["old"]


def test_many_shards_are_read_with_few_files_open():
    one = shelf()
    for i in range(60):
        one.add("", str(i), np.float32([i]), 0)
        one.flush()
    again = shelf()
    before = len(os.listdir("/proc/self/fd"))
    assert [known[0].tolist() for known in again.find("", [str(i) for i in range(60)])] == [[i] for i in range(60)]
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_waits_to_be_written_is_known():
    one = shelf()
    one.add("", "a", np.float32([1]), 2)
    (known,) = one.find("", ["a"])
    assert (known[0].tolist(), known[1]) == ([1.0], 2)
    assert not list(one.folder.glob("*.safetensors"))


def test_a_shard_that_another_process_removes_is_as_if_it_were_not_there():
    one = shelf()
    one.add("", "a", np.float32([1]), 0)
    one.flush()
    for path in one.folder.glob("*.safetensors"):
        path.unlink()
    assert one.find("", ["a"]) == [None]
    assert one.table("", ["a"]) is None


def test_what_says_whose_values_these_are_is_written_again_where_it_is_gone():
    one = shelf()
    for text in ("a", "b"):
        one.add("", text, np.float32([1]), 0)
        one.flush()
        assert one.told()["model"]
        (one.folder / store.ABOUT).write_text("[]")
    assert one.told() == {}


def test_a_store_that_is_full_says_so_once_and_the_work_goes_on(monkeypatch):
    monkeypatch.setenv("JBENCH_STORE_GIB", "0.0")
    said = []
    one = shelf(say=said.append)
    for i in range(3):
        one.add("", str(i), np.zeros(1024, np.float32), 0)
        one.flush()
    assert said == ["embeddings are not stored any more: the store is bounded to 0 GiB ($JBENCH_STORE_GIB)"]
    assert not list(one.folder.glob("*"))


@pytest.mark.parametrize("wrong", ["much", "-1", "nan"])
def test_a_bound_that_is_no_number_is_refused(wrong, monkeypatch):
    monkeypatch.setenv("JBENCH_STORE_GIB", wrong)
    with pytest.raises(UsageError, match=f"JBENCH_STORE_GIB={wrong}: write a number of GiB, such as 20"):
        shelf()


# Four texts on either side: of two roles, of one role in two calls or in one, in sixteen pairs.
REUSED = [("colbert_native", 8), ("sparse_bert", 8), ("dense_bert", 4), ("cross_bert", 16)]


@pytest.mark.parametrize(("kind", "reused"), REUSED)
@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
def test_a_second_run_computes_nothing_and_scores_the_same(kind, reused, dtype, request, monkeypatch):
    folder = str(request.getfixturevalue(kind))
    options = Options(store=True, dtype=dtype)
    first = open_model(folder, options)
    scores, told = first.score(PAIRS, ROLES), first.report()
    second = open_model(folder, options)
    monkeypatch.setattr(type(second.weights), "_load", lambda weights: pytest.fail("weights were loaded"))
    assert second.score(PAIRS, ROLES).tolist() == scores.tolist()
    again = second.report()
    assert again["cost"] == told["cost"]
    assert (again["truncated"], again["rates"]) == (told["truncated"], {"reused": reused})


def test_a_similarity_of_another_name_reads_the_same_vectors(colbert_native):
    total = open_model(str(colbert_native), Options(store=True))
    total.score(PAIRS, ROLES)
    mean = open_model(str(colbert_native), Options(store=True, settings={"similarity": "avgsim"}))
    mean.score(PAIRS, ROLES)
    assert mean.report()["rates"]["reused"] == 8
    assert len(store.stored()) == 1


@pytest.mark.parametrize("change", [{"settings": {"pooling": "cls"}}, {"dtype": "bf16"}])
def test_what_touches_a_vector_is_never_read_for_another(change, dense_bert):
    open_model(str(dense_bert), Options(store=True)).score(PAIRS, ROLES)
    other = open_model(str(dense_bert), Options(store=True, **change))
    other.score(PAIRS, ROLES)
    assert "reused" not in other.report()["rates"]


def test_a_search_reads_what_a_search_stored(dense_bert):
    documents = Texts([str(i) for i in range(len(CORPUS))], list(CORPUS))
    found = [
        open_model(str(dense_bert), Options(store=True)).search(documents, documents, 3).to_dict() for _ in range(2)
    ]
    assert found[0] == found[1]


STOPPED = """
import os, signal, sys
import numpy as np
from jbench import store
from jbench.encode import Encoder, Reader, Tokenized
from jbench.types import silent
store.SHARD = 8
def forward(batch, way):
    if "7" in batch:
        os.kill(os.getpid(), signal.SIGKILL)
    return np.float32([[int(text)] for text in batch])
reader = Reader(lambda texts, way: Tokenized(texts, [1] * len(texts), [0] * len(texts)), forward, 1)
kept = store.opened({}, dict, "float32", print)
Encoder(lambda: reader, silent, kept=kept)([*"0123456789"] * 3)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_run_that_is_killed_goes_on_from_its_last_shard(tmp_path):
    done = subprocess.run([sys.executable, "-c", STOPPED], env=dict(os.environ), check=False)
    assert done.returncode == -signal.SIGKILL
    computed = []

    def forward(batch, way):
        computed.extend(batch)
        return np.float32([[int(text)] for text in batch])

    reader = Reader(lambda texts, way: Tokenized(texts, [1] * len(texts), [0] * len(texts)), forward, 8)
    kept = store.opened({}, dict, "float32", print)
    values = Encoder(lambda: reader, silent, kept=kept)([*"0123456789"])
    assert [value.tolist() for value in values] == [[float(i)] for i in range(10)]
    assert computed == ["6", "7", "8", "9"]


def test_nothing_of_a_text_is_in_the_store(dense_bert):
    open_model(str(dense_bert), Options(store=True)).score(PAIRS, ROLES)
    (one,) = store.stored()
    for path in one.folder.iterdir():
        assert CORPUS[0].encode() not in path.read_bytes()
    assert json.loads((one.folder / store.ABOUT).read_bytes())["model"] == "dense-bert"


COMPUTED = """
import sys
from jbench import open_model
from jbench.models.options import Options
from jbench.types import Texts
model = open_model(sys.argv[1], Options(store=True))
found = [model.score([("犬", "猫")], ("query", "document")).tolist()]
if hasattr(model, "search"):
    found.append(model.search(Texts(["q"], ["犬"]), Texts(["d"], ["猫"]), 1).to_dict())
print(found)
print(*sorted({"sentence_transformers", "transformers", "torch"} & set(sys.modules)))
"""


@pytest.mark.parametrize("kind", ["dense_bert", "colbert_native", "sparse_bert", "cross_bert"])
def test_a_run_that_needs_nothing_new_imports_no_library_of_models(kind, request):
    words = [sys.executable, "-c", COMPUTED, str(request.getfixturevalue(kind))]
    first, second = (
        subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines() for _ in "12"
    )
    assert first == [second[0], "sentence_transformers torch transformers"]
    assert second[1] == ("torch" if kind == "colbert_native" else "")


def test_what_is_stored_is_shown_and_removed(dense_bert, tmp_path):
    run = ("run", dense_bert, "--task", "mini-sts", "--results")
    jbench(*run, tmp_path / "one", cwd=tmp_path)
    (row,) = json.loads(jbench("models", "--stored", "--json", cwd=tmp_path).stdout)
    assert (row["model"], row["settings"]["pooling"]) == ("dense-bert", "mean")
    (again,) = json.loads(jbench(*run, tmp_path / "two", "--json", cwd=tmp_path).stdout)
    assert "texts_per_s" not in again["host"]["rates"]
    (fresh,) = json.loads(jbench(*run, tmp_path / "three", "--json", "--no-store", cwd=tmp_path).stdout)
    assert fresh["host"]["rates"]["texts_per_s"] > 0
    assert again["scores"] == fresh["scores"]
    wrong = jbench("models", "--prune", "dense-bart", cwd=tmp_path, code=2)
    assert line(wrong) == "error: unknown stored model 'dense-bart'; did you mean dense-bert?"
    assert "0.00 GiB of at most 20" in jbench("models", "--prune", "dense-bert", cwd=tmp_path).stdout
    assert json.loads(jbench("models", "--stored", "--json", cwd=tmp_path).stdout) == []


STRANGERS = [None, "", "[]", '{"model": "m", "revision": "", "settings": {}}']


@pytest.mark.parametrize("about", STRANGERS)
def test_a_folder_without_the_mark_of_the_store_is_left_alone(tmp_path, monkeypatch, about):
    monkeypatch.setenv("JBENCH_HOME", str(tmp_path))
    folder = store.root() / "0"
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("x" * 9000)
    if about is not None:
        (folder / store.ABOUT).write_text(about)
    assert json.loads(jbench("models", "--stored", "--json", cwd=tmp_path).stdout) == []
    jbench("models", "--prune", "all", cwd=tmp_path)
    monkeypatch.setenv("JBENCH_STORE_GIB", str(2000 / 2**30))
    for name in ("a", "b"):  # of which only one fits
        one = shelf(name)
        one.add("", "t", np.zeros(256, np.float32), 0)
        one.flush()
    assert [one.about["model"] for one in store.stored()] == ["b"]
    assert (folder / "thesis.txt").is_file()


def test_what_another_put_into_a_folder_of_the_store_stays(tmp_path):
    one = shelf()
    one.add("", "t", np.zeros(4, np.float32), 0)
    one.flush()
    (one.folder / "thesis.txt").write_text("x")
    (one.folder / "weights.safetensors").write_text("x")
    (kept,) = store.stored()
    store.remove(kept)
    assert sorted(path.name for path in one.folder.iterdir()) == ["thesis.txt", "weights.safetensors"]
    assert store.stored() == []


def test_a_link_in_the_store_is_not_followed(tmp_path):
    one = shelf()
    one.add("", "t", np.zeros(4, np.float32), 0)
    one.flush()
    shutil.move(one.folder, tmp_path / "elsewhere")
    one.folder.symlink_to(tmp_path / "elsewhere")
    assert store.stored() == []


def test_the_mark_lies_there_before_the_first_shard(monkeypatch):
    def killed(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "writing", killed)
    one = shelf()
    one.add("", "t", np.zeros(4, np.float32), 0)
    with pytest.raises(KeyboardInterrupt):
        one.flush()
    assert [path.name for path in one.folder.iterdir()] == [store.ABOUT]
    assert json.loads((one.folder / store.ABOUT).read_text())["store"] == "jbench embeddings"


def test_a_folder_of_a_store_before_marks_is_its_own():
    one = shelf()
    one.add("", "t", np.zeros(4, np.float32), 0)
    one.flush()
    about = {"model": "m", "revision": "r", "settings": {}, "adapter": "dense", "versions": {}}
    (one.folder / store.ABOUT).write_text(json.dumps(about))
    assert [kept.about["model"] for kept in store.stored()] == ["m"]
