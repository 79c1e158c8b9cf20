"""What is remembered is believed only where it is what was asked for."""

import json

import pytest

from jbench.cache import cache_root, recalled, remembered

PAIR = tuple[float, float]


def memory(kind):
    (path,) = (cache_root() / kind).iterdir()
    return path


def test_what_was_computed_is_not_computed_again():
    assert recalled("kind", ["key"], PAIR, lambda: (0.1, 0.30000000000000004)) == (0.1, 0.30000000000000004)
    assert recalled("kind", ["key"], PAIR, lambda: pytest.fail("computed again")) == (0.1, 0.30000000000000004)
    assert recalled("kind", ["other"], PAIR, lambda: (3.0, 4.0)) == (3.0, 4.0)


@pytest.mark.parametrize(
    "held", ["", "[]", "null", '"xy"', '{"a": 1}', "[1]", '["1", "2"]', "[1, NaN", "[" * 100_000, "\udcff"]
)
def test_a_memory_of_another_shape_is_made_again(held):
    recalled("kind", ["key"], PAIR, lambda: (1.0, 2.0))
    memory("kind").write_bytes(held.encode(errors="surrogateescape"))
    assert recalled("kind", ["key"], PAIR, lambda: (3.0, 4.0)) == (3.0, 4.0)
    assert json.loads(memory("kind").read_text()) == [3.0, 4.0]


@pytest.mark.parametrize(
    "held",
    ["[]", "null", "[" * 100_000, '{"state": [1]}', '{"state": [1], "sha256": null}', '{"state": 1, "sha256": "a"}'],
)
def test_a_fingerprint_of_another_shape_is_taken_again(held, tmp_path):
    assert remembered(tmp_path / "x", [1], lambda: "a") == "a"
    assert remembered(tmp_path / "x", [1], lambda: "b") == "a"
    memory("fingerprints").write_text(held)
    assert remembered(tmp_path / "x", [1], lambda: "b") == "b"
    assert remembered(tmp_path / "x", [2], lambda: "c") == "c"


def test_a_cache_that_cannot_be_used_costs_the_memory_and_not_the_run(tmp_path, monkeypatch):
    (tmp_path / "loop").symlink_to("loop")
    for home in (tmp_path / "loop", tmp_path / ("long" * 100)):
        monkeypatch.setenv("JBENCH_HOME", str(home))
        assert recalled("kind", ["key"], PAIR, lambda: (1.0, 2.0)) == (1.0, 2.0)
        assert remembered(tmp_path / "x", [1], lambda: "a") == "a"
