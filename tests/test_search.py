"""Exact top-k: the same for every window, ties by document id, ties beyond the end counted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jbench import search
from jbench.search import spans, top_k
from jbench.types import InvalidScores, silent


def brute(scores, ids, k, floor=-np.inf):
    rows, beyond = [], []
    for row in scores.tolist():
        order = sorted(((s, d) for s, d in zip(row, ids, strict=True) if s > floor), reverse=True)
        rows.append([(d, s) for s, d in order[:k]])
        beyond.append(sum(s == order[k - 1][0] for s, _ in order[k:]) if len(order) > k else 0)
    return rows, beyond


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_every_window_gives_what_a_sort_gives(data):
    documents = data.draw(st.integers(0, 12))
    k = data.draw(st.integers(1, 14))
    values = st.lists(st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0]), min_size=documents, max_size=documents)
    scores = np.array([data.draw(values) for _ in range(2)], np.float32).reshape(2, documents)
    ids = data.draw(st.permutations([f"d{i}" for i in range(documents)]))
    width = data.draw(st.integers(1, 13))
    floor = data.draw(st.sampled_from([-np.inf, 0.0]))
    windows = [scores[:, start : start + width] for start in range(0, documents, width)]
    run = top_k(["p", "q"], ids, windows, k, floor)
    rows, beyond = brute(scores, ids, k, floor)
    assert [run.rows(0), run.rows(1)] == rows
    assert run.beyond.tolist() == beyond


@pytest.mark.parametrize(
    ("k", "memory", "each", "most", "widths"),
    [
        (1, 2400, 0, 100, [8, 8, 9]),  # of 10 queries a document's scores take 10 * 4 * 6 bytes
        (1, 2400, 960, 100, [1] + [2] * 12),
        (1, 1 << 30, 0, 100, [8, 8, 9]),  # 120 scores
        (20, 1 << 30, 0, 100, [12, 13]),  # as wide as what is kept
        (20, 2400, 0, 100, [8, 8, 9]),
        (20, 1 << 30, 0, 8, [6, 6, 6, 7]),
        (20, 1, 0, 100, [1] * 25),
    ],
)
def test_a_window_stays_within_its_memory(k, memory, each, most, widths, monkeypatch):
    monkeypatch.setattr(search, "SCORES_AT_ONCE", 120)
    found = list(spans(10, 25, k, silent, memory, each, most))
    assert [len(range(25)[span]) for span in found] == widths
    assert [i for span in found for i in range(25)[span]] == list(range(25))


def test_a_nan_is_named():
    scores = np.float32([[1, 2], [3, np.nan]])
    with pytest.raises(InvalidScores, match="query 'q', document 'b'"):
        top_k(["p", "q"], ["a", "b"], [scores], 1)
