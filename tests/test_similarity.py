"""Similarities on literal numbers, and as sentence-transformers computes them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jbench import similarity

A, B = np.float32([[3, 4], [1, 0]]), np.float32([[3, 4], [0, 2], [0, 0]])
DENSE = {
    "cosine": [[1, 0.8, 0], [0.6, 0, 0]],
    "dot": [[25, 8, 0], [3, 0, 0]],
    "euclidean": [[0, -np.sqrt(13), -5], [-np.sqrt(20), -np.sqrt(5), -1]],
    "manhattan": [[0, -5, -7], [-6, -3, -1]],
}


@pytest.mark.parametrize("documents", [3, 1 << 40])  # few enough for numpy, and many
@pytest.mark.parametrize("name", similarity.DENSE)
def test_dense_similarities_on_literal_numbers(name, documents):
    assert similarity.matrix(name, A, documents=documents)(B) == pytest.approx(np.array(DENSE[name]), abs=1e-6)
    assert similarity.pairwise(name, A, B[:2]) == pytest.approx(np.diag(DENSE[name]), abs=1e-6)


@pytest.mark.parametrize("name", similarity.DENSE)
def test_dense_similarities_are_the_librarys(name):
    import torch
    from sentence_transformers import SimilarityFunction

    draw = np.random.default_rng(0)
    a, b = (draw.standard_normal((n, 24)).astype(np.float32) for n in (7, 9))
    whole = SimilarityFunction.to_similarity_fn(name)(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    paired = SimilarityFunction.to_similarity_pairwise_fn(name)(torch.from_numpy(a), torch.from_numpy(b[:7])).numpy()
    assert np.abs(similarity.matrix(name, a)(b) - whole).max() < 1e-5
    assert np.abs(similarity.pairwise(name, a, b[:7]) - paired).max() < 1e-5


@pytest.mark.parametrize("name", ["euclidean", "manhattan"])
def test_a_distance_is_the_same_in_whatever_window(name):
    draw = np.random.default_rng(0)
    a, b = (30 * draw.standard_normal((60, 64)).astype(np.float32) for _ in "ab")
    b[7] = a[3]
    compare = similarity.matrix(name, a)
    whole = compare(b)
    assert whole[3, 7] == 0
    assert (np.hstack([compare(b[start : start + 20]) for start in (0, 20, 40)]) == whole).all()


QUERIES = [np.float32([[1, 0], [0, 1]]), np.float32([[1, 0]])]
DOCUMENTS = [np.float32([[0.5, -1], [-0.5, 0.25]]), np.float32([[-1, -0.5]]), np.zeros((0, 2), np.float32)]
LATE = {
    "maxsim": [[0.75, -1.5, 0], [0.5, -1, 0]],
    "meanmaxsim": [[0.375, -0.75, 0], [0.5, -1, 0]],
    "maxmaxsim": [[0.5, -0.5, 0], [0.5, -1, 0]],
    "avgsim": [[-0.375, -1.5, 0], [0, -1, 0]],
}


@pytest.mark.parametrize("name", similarity.LATE)
def test_late_interaction_on_literal_numbers(name):
    assert similarity.late_matrix(name, QUERIES)(DOCUMENTS).tolist() == LATE[name]
    assert similarity.late_pairwise(name, QUERIES, DOCUMENTS[:2]).tolist() == [LATE[name][0][0], LATE[name][1][1]]
    assert similarity.late_pairwise(name, QUERIES[:1], DOCUMENTS[2:]).tolist() == [0]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_padding_and_parts_change_nothing(queries, documents):
    draw = np.random.default_rng(0)
    asked, held = (
        [draw.standard_normal((n, 4)).astype(np.float32) for n in lengths] for lengths in (queries, documents)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity, "ELEMENTS", {"cpu": 64, "cuda": 64})
        for name in similarity.LATE:
            whole = similarity.late_matrix(name, asked)(held)
            one_by_one = [[similarity.late_pairwise(name, [q], [d])[0] for d in held] for q in asked]
            assert whole == pytest.approx(np.array(one_by_one), abs=1e-4)


def test_without_queries_there_are_no_scores():
    assert similarity.late_matrix("maxsim", [])(DOCUMENTS).shape == (0, 3)
