"""A fingerprint of training texts: finds what was in, by chance little else, and trusts nobody's file."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jbench import fingerprint
from jbench.manifest import MANIFEST
from jbench.overlap import measure
from jbench.types import Unavailable, UsageError
from tests.test_cli import jbench, line

TEXTS = ["雪は白い。", "ＡＢＣ の 歌", "海"]


def checkpoint(folder, texts, **changed):
    """A checkpoint's folder whose manifest names the fingerprint of ``texts``."""
    folder.mkdir(exist_ok=True)
    entry = fingerprint.of(texts).write(folder) | changed
    manifest = {"datasets": [{"name": "X", "split": "train"}], "fingerprint": entry}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


FOUND = [
    ("雪は白い。", True),
    ("雪は、白い", True),
    ("abcの歌", True),
    ("海", True),
    ("雪は白", False),
    ("山", False),
    ("", False),
    ("。", False),
]


@pytest.mark.parametrize(("text", "found"), FOUND)
def test_a_text_is_found_by_what_is_left_of_it_when_normalised(text, found):
    assert fingerprint.of([*TEXTS, "！"]).holds([text]).tolist() == [found]


def test_its_size_and_numbers_follow_from_the_texts():
    found = fingerprint.of(f"文{i}" for i in [*range(10_000), *range(10_000)])
    # 10,000 texts at one in a million: -n ln p / (ln 2)^2 = 287,552 bits, 20 hashes.
    assert (found.texts, len(found.bits), found.hashes) == (10_000, 35_944, 20)
    assert found.rate == pytest.approx(1e-6, rel=0.1)


def test_other_texts_are_found_as_rarely_as_it_says():
    found = fingerprint.of((f"文{i}" for i in range(5_000)), rate=0.01)
    by_chance = found.holds([f"別{i}" for i in range(100_000)]).mean()
    assert by_chance == pytest.approx(found.rate, rel=0.1)
    assert found.rate == pytest.approx(0.01, rel=0.1)


def test_a_filter_that_is_cut_short_says_how_much_it_finds_by_chance():
    found = fingerprint.of((f"文{i}" for i in range(10_000)), most=5_000)
    assert (len(found.bits), found.hashes) == (5_000, 3)
    assert found.rate == pytest.approx(0.147, abs=0.005)  # (1 - e^(-3 * 10,000 / 40,000))^3
    assert found.holds([f"文{i}" for i in range(10_000)]).all()


@given(st.lists(st.text(max_size=8), max_size=30))
def test_what_was_in_is_always_found(texts):
    found = fingerprint.of(texts)
    assert found.holds(texts).tolist() == [bool(fingerprint.normalised(text)) for text in texts]


def test_the_same_texts_in_any_order_give_the_same_bytes(tmp_path):
    one, other = (fingerprint.of(texts).write(tmp_path) for texts in (TEXTS, TEXTS[::-1] * 2))
    assert one == other
    # The file means the same wherever it is read: on other machines, next year.
    assert one == {
        "file": "training_texts.bin",
        "sha256": "ed36b15957e7dfe6d590a43d0dbb83694b816fd0ad9a49ef9ca2179a1d6be8a7",
        "bytes": 11,
        "hashes": 20,
        "texts": 3,
        "false_positive_rate": 2.32e-06,
    }


def test_it_is_read_as_it_was_written(tmp_path):
    entry = fingerprint.of(TEXTS).write(tmp_path)
    found = fingerprint.read(tmp_path, entry)
    assert (found.texts, found.hashes) == (3, 20)
    assert np.array_equal(found.bits, fingerprint.of(TEXTS).bits)


HOSTILE = [
    ({"file": "../secret"}, "fingerprint.file"),
    ({"file": "/etc/passwd"}, "fingerprint.file"),
    ({"file": ".hidden"}, "fingerprint.file"),
    ({"file": "none.bin"}, "cannot read"),
    ({"bytes": 9}, "has 11 bytes, not the 9"),
    ({"bytes": 1 << 40}, "fingerprint.bytes"),
    ({"bytes": 0}, "fingerprint.bytes"),
    ({"hashes": 0}, "fingerprint.hashes"),
    ({"hashes": 10**9}, "fingerprint.hashes"),
    ({"texts": -1}, "fingerprint.texts"),
    ({"sha256": "0" * 64}, "has another sha256 than its manifest says"),
]


@pytest.mark.parametrize(("changed", "told"), HOSTILE)
def test_a_strangers_file_that_is_not_what_its_manifest_says_is_refused(changed, told, tmp_path):
    entry = fingerprint.of(TEXTS).write(tmp_path) | changed
    with pytest.raises(Unavailable, match=told):
        fingerprint.read(tmp_path, entry)


@pytest.mark.parametrize("entry", [None, "x", [1], {}])
def test_an_entry_that_is_none_is_one_line(entry, tmp_path):
    with pytest.raises(Unavailable, match="the manifest in"):
        fingerprint.read(tmp_path, entry)


def test_overlap_asks_a_checkpoints_fingerprint_for_each_side_of_a_task(tmp_path):
    folder = checkpoint(tmp_path / "model", ["明日の会議を来週に延期したい。", "関係のない文"])
    side = tmp_path / "task.jsonl"
    side.write_text("".join(json.dumps({"text": text}) + "\n" for text in ("明日の会議を来週に延期したい", "別の文")))
    (found,) = measure(str(folder), str(side), None, [], 13, 3, [])
    assert (found.a, found.side, found.texts, found.normalised, found.share) == (str(folder), "texts", 2, 1, 0.5)
    both = measure(str(folder / MANIFEST), "mini-qa@v1", None, [], 13, 3, [])
    assert [(one.side, one.normalised) for one in both] == [("queries", 0), ("documents", 0)]


def test_jaquads_fingerprint_finds_all_of_jaquad_and_nothing_of_jsquad(mirror, tmp_path):
    from jbench.train.data import open_set

    texts = list(open_set("jaquad").texts())
    folder = checkpoint(tmp_path / "model", texts)
    assert (folder / "training_texts.bin").stat().st_size == 148_909
    found = {
        task: [(one.side, one.normalised, one.texts) for one in measure(str(folder), task, None, [], 13, 3, [])]
        for task in ("jaquad@train", "jsquad@valid1145")
    }
    assert found == {
        "jaquad@train": [("queries", 31748, 31748), ("documents", 9713, 9713)],
        "jsquad@valid1145": [("queries", 0, 4442), ("documents", 0, 1145)],
    }


def test_the_verb_says_what_may_be_found_by_chance(tmp_path):
    from jbench.registry import own_tasks
    from jbench.task import load

    queries = load(own_tasks()["mini-qa@v1"]).data.queries.texts
    folder = checkpoint(tmp_path / "model", [*queries[:3], "別の文"])
    done = jbench("overlap", folder, "mini-qa@v1", "--json", cwd=tmp_path)
    rows = json.loads(done.stdout)
    assert [(row["side"], row["texts"], row["normalised"]) for row in rows] == [
        ("queries", len(queries), 3),
        ("documents", rows[1]["texts"], 0),
    ]
    assert rows[0]["false_positive_rate"] < 1e-3
    shown = jbench("overlap", folder, "mini-qa@v1", "--side", "queries", cwd=tmp_path).stdout.split()
    assert shown[:4] == ["side", "texts", "normalised", "false_positive_rate"]


def test_files_that_a_manifest_names_come_before_its_fingerprint(tmp_path):
    folder = checkpoint(tmp_path / "model", ["あ"])
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / "train.txt").write_text("海\n", encoding="utf-8")
    (folder / MANIFEST).write_text(json.dumps(manifest | {"datasets": [{"name": "X", "file": "train.txt"}]}))
    (side := tmp_path / "task.txt").write_text("海\nあ\n", encoding="utf-8")
    (found,) = measure(str(folder), str(side), None, [], 13, 3, [])
    assert (found.exact, found.normalised) == (1, 1)


def test_a_checkpoint_without_a_fingerprint_is_one_line(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    with pytest.raises(UsageError, match="has no training_manifest"):
        measure(str(folder), "mini-qa@v1", None, [], 13, 3, [])
    (folder / MANIFEST).write_text(json.dumps({"datasets": [{"name": "X"}]}))
    done = jbench("overlap", folder, "mini-qa@v1", cwd=tmp_path, code=5)
    assert "names no file of its data sets, and no fingerprint" in line(done)
