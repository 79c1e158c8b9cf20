"""2 bits a dimension beside a centroid: what it takes, and what comes back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jbench import open_model
from jbench.models.options import Options
from jbench.residual import Residual, fit
from jbench.types import Texts, UsageError
from tests.tiny import CORPUS

TEXTS = Texts([str(i) for i in range(len(CORPUS))], list(CORPUS))


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def vectors(count, width=16, groups=8, seed=0):
    draw = np.random.default_rng(seed)
    centres = draw.standard_normal((groups, width))
    return unit(centres[draw.integers(0, groups, count)] + 0.3 * draw.standard_normal((count, width)))


def test_a_vector_on_literal_numbers():
    cuts, values = np.float32([-0.125, 0, 0.125]), np.float32([-2, -1, 1, 2])
    stored = Residual(np.float32([[1, 0, 0, 0, 0], [0, 1, 0, 0, 0]]), cuts, values)
    nearest, packed = stored.encode(np.float32([[0.125, 0.875, 0.0625, -0.0625, -0.25]]))
    # Left are 1/8, -1/8, 1/16, -1/16 and -1/4: codes 3 (a cut belongs above), 1, 2, 1 and 0, four to a byte.
    assert (nearest.tolist(), packed.tolist()) == ([1], [[3 | 1 << 2 | 2 << 4 | 1 << 6, 0]])
    whole = np.float32([2, 0, 1, -1, -2])
    assert stored.decode(nearest, packed)[0].tolist() == pytest.approx((whole / np.sqrt(10)).tolist())


@pytest.mark.parametrize(("width", "size"), [(128, 34), (96, 26), (5, 4)])
def test_what_a_vector_takes(width, size):
    stored = fit(vectors(100, width), 100)
    nearest, packed = stored.encode(vectors(3, width))
    assert stored.bytes_per_vector == size == (nearest.nbytes + packed.nbytes) / 3


@given(st.integers(1, 40), st.integers(4, 12), st.integers(0, 5))
def test_what_is_read_back_has_length_one_and_stands_in_its_place(count, width, seed):
    held = vectors(count, width, seed=seed)
    stored = fit(held, count)
    back = stored.decode(*stored.encode(held))
    assert back.shape == held.shape
    assert np.linalg.norm(back, axis=1) == pytest.approx(np.ones(count), abs=1e-5)
    cut = [len(part) for part in np.array_split(held, 3)]
    again = stored.read_back(np.array_split(held, 3))
    assert [len(part) for part in again] == cut
    assert np.concatenate(again).tolist() == back.tolist()


def test_little_is_lost_of_vectors_in_groups():
    held = vectors(4000, 64, groups=32)
    stored = fit(held, len(held))
    assert (stored.decode(*stored.encode(held)) * held).sum(1).mean() > 0.98


def test_the_same_sample_gives_the_same_centroids():
    one, two = (fit(vectors(500), 500) for _ in range(2))
    assert one.centroids.tolist() == two.centroids.tolist()
    assert len(one.centroids) == 125  # a quarter of the sample, below 2 ** 8


def test_a_colbert_searches_what_was_stored_in_two_bits(colbert_native):
    def found(**settings):
        model = open_model(str(colbert_native), Options(settings=settings))
        run = model.search(TEXTS, TEXTS, 3)
        return run, model.report()["cost"], model.card

    whole, cost, _ = found()
    two, cost_of_two, card = found(document_bits="2")
    half, cost_of_half, _ = found(document_bits="16")
    assert [run.to_dict().keys() for run in (two, half)] == [whole.to_dict().keys()] * 2
    assert cost["bytes_per_document"] == cost_of_half["bytes_per_document"]
    width = cost["dimension"]
    assert cost_of_two["bytes_per_document"] == pytest.approx(
        cost["bytes_per_document"] * (2 + width / 4) / (2 * width), abs=0.1
    )
    assert cost_of_two["bytes_shared"] % (2 * width) == 0
    assert card.variant == {"document_bits": "2"}
    assert found(document_bits="2")[0].to_dict() == two.to_dict()


def test_windows_change_nothing_of_what_is_stored(colbert_native, monkeypatch):
    from jbench.models import colbert

    def found():
        return open_model(str(colbert_native), Options(settings={"document_bits": "2"})).search(TEXTS, TEXTS, 3)

    whole = found().to_dict()
    monkeypatch.setattr(colbert, "_DOCUMENTS_AT_ONCE", 3)
    for query, documents in found().to_dict().items():
        assert documents == {d: pytest.approx(score, abs=1e-5) for d, score in whole[query].items()}


def test_other_bits_are_refused(colbert_native):
    with pytest.raises(UsageError, match="unknown document_bits '4'; known: 16, 2"):
        open_model(str(colbert_native), Options(settings={"document_bits": "4"}))


def test_pairs_are_not_scored_as_a_corpus_is_stored(colbert_native):
    model = open_model(str(colbert_native), Options(settings={"document_bits": "2"}))
    with pytest.raises(UsageError, match="document_bits=2 says how a corpus is stored that is searched; leave it out"):
        model.score([("a", "b")], ("query", "document"))
