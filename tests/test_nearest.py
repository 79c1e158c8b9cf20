"""The best few of many documents, found in bf16: the same as by all scores in float32, in whatever windows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jbench import nearest as module
from jbench import open_model, similarity
from jbench.nearest import Nearest, nearest
from jbench.search import Best
from jbench.types import InvalidScores, Texts
from tests import tiny


def vectors(count, dimension, seed, kind):
    draw = np.random.default_rng(seed)
    found = draw.standard_normal((count, dimension))
    if kind == "halfway":  # between two bfloat16, where rounding takes the most
        found = np.sign(found) * (1 + 2.0**-8) * 2.0 ** draw.integers(-3, 4, found.shape)
    elif kind == "alike":
        found = 1 + found / 1000
    elif kind == "one way":
        found += 4
    elif kind == "of all lengths":
        found *= 10.0 ** draw.uniform(-6, 6, (count, 1))
    return found.astype(np.float32)


KINDS = st.sampled_from(["usual", "halfway", "alike", "one way", "of all lengths"])


@settings(deadline=None)
@given(st.data())
def test_nothing_that_reaches_the_score_is_left_out(data):
    name, kind, seed = data.draw(st.sampled_from(["cosine", "dot"])), data.draw(KINDS), data.draw(st.integers(0, 99))
    d, k = data.draw(st.integers(1, 70)), data.draw(st.integers(1, 3))
    queries, documents = vectors(5, d, seed, kind), vectors(200, d, seed + 1, kind)
    exact = similarity.matrix(name, queries.astype(np.float64))(documents.astype(np.float64))
    last = np.sort(exact, axis=1)[:, -k].astype(np.float32)
    near = Nearest(name, queries, k)
    if data.draw(st.booleans()):
        near(vectors(20, d, seed + 2, kind), None)  # in which it looks where documents lie
    query, document, scores = near(documents, last)
    found = np.zeros(exact.shape, bool)
    found[query, document] = True
    lengths = 1 if name == "cosine" else np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(documents, axis=1)
    room = np.broadcast_to(1e-5 * lengths, exact.shape)
    assert found[exact > last[:, None] + room].all()
    assert not found[exact < last[:, None] - room].any()
    assert (np.abs(scores - exact[query, document]) <= room[query, document]).all()


@settings(deadline=None)
@given(st.data())
def test_windows_change_nothing_and_copies_tie(data):
    name, kind = data.draw(st.sampled_from(["cosine", "dot"])), data.draw(KINDS)
    k = data.draw(st.integers(1, 5))
    queries, documents = vectors(4, 24, 0, kind), vectors(300, 24, 1, kind)
    documents[150:] = documents[149::-1]  # each once more, in another window
    ids = [f"d{i:03}" for i in np.random.default_rng(data.draw(st.integers(0, 99))).permutation(300)]

    def run(cuts):
        near, best = Nearest(name, queries, k), Best(list("abcd"), ids, k)
        for start, end in zip([0, *cuts], [*cuts, 300], strict=True):
            best.add_found(end - start, *near(documents[start:end], best.last))
        return best.run()

    cuts = sorted(data.draw(st.sets(st.integers(160, 299), max_size=4)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FEW", data.draw(st.sampled_from([1, 4, 32])))  # from when on float32 leaves fewer
        whole, parts = run([]), run(cuts)
    assert whole.to_dict() == parts.to_dict()
    of = {name: i for i, name in enumerate(ids)}
    for row in range(4):
        (first, score), *others = whole.rows(row)
        copy = ids[299 - of[first]]
        assert first > copy
        if others:
            assert others[0][1] == score


def test_what_overflows_is_named():
    queries, documents = np.full((1, 4), 1e30, np.float32), np.full((3, 4), 1e30, np.float32)
    for last in (None, np.float32([0])):
        with pytest.raises(InvalidScores, match="query 'q', document 'a'"), np.errstate(all="ignore"):
            Best(["q"], ["a", "b", "c"], 1).add_found(3, *Nearest("dot", queries, 1)(documents, last))


@pytest.mark.parametrize(
    ("name", "k", "device", "documents", "there"),
    [
        ("cosine", 10, "cpu", 1 << 20, True),
        ("dot", 10, "cpu", 1 << 20, True),
        ("euclidean", 10, "cpu", 1 << 20, False),
        ("cosine", 10, "cuda", 1 << 20, False),
        ("cosine", 1 << 16, "cpu", 1 << 20, False),  # many of them
        ("cosine", 10, "cpu", 1000, False),  # little work
    ],
)
def test_it_is_used_where_it_pays(name, k, device, documents, there, monkeypatch):
    queries = vectors(64, 512, 0, "usual")
    monkeypatch.setattr(module, "bf16_units", lambda: True)
    assert (nearest(name, queries, k, device, documents) is not None) == there
    monkeypatch.setattr(module, "bf16_units", lambda: False)
    assert nearest(name, queries, k, device, documents) is None


def test_a_search_gives_the_same_either_way(tmp_path, monkeypatch):
    bare = tiny.bert_folder(tmp_path / "bare")
    folder = str(tiny.sentence_transformer(tmp_path / "tiny", bare, pooling_mode="mean"))
    queries = Texts(["p", "q"], ["猫はどこにいる?", "雨の日"])
    documents = Texts([f"d{i}" for i in range(90)], ["猫" * (i % 7) + "雨" * (i % 5) + "犬" for i in range(90)])
    usual = open_model(folder).search(queries, documents, 5)
    monkeypatch.setattr(module, "bf16_units", lambda: True)
    monkeypatch.setattr(similarity, "WORTH_TORCH", 0)
    monkeypatch.setattr(module, "FEW", 1)
    called = []
    monkeypatch.setattr(Nearest, "__call__", lambda *args, call=Nearest.__call__: called.append(1) or call(*args))
    found = open_model(folder).search(queries, documents, 5)
    assert called
    for row in range(2):
        assert [score for _, score in found.rows(row)] == pytest.approx(
            [score for _, score in usual.rows(row)], abs=1e-6
        )
