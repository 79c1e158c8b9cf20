"""How vectors are compared, always in float32: one vector a text, or one a token (late interaction).

Formulas as in sentence-transformers' ``SimilarityFunction`` and ``maxsim``; distances are negated, so that more is
nearer. ``device`` is torch's name of where it is computed; results are on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from jbench.types import Float32

DENSE = ("cosine", "dot", "euclidean", "manhattan")
LATE = ("maxsim", "meanmaxsim", "maxmaxsim", "avgsim")
"""Of each query token's best similarity to a document token the sum, the mean or the largest; avgsim: the sum of its
mean similarity to all of them. A document without tokens scores 0."""

ELEMENTS = {"cpu": 1 << 21, "cuda": 1 << 26}
"""How many similarities of tokens are held at once: on a CPU 8 MiB, which stay near it."""

_DOCUMENTS, _TOKENS = 64, 128
WORTH_TORCH = 1 << 34  # products of two numbers: a tenth of a second, after which torch is the faster


def matrix(name: str, a: Float32, device: str = "cpu", documents: int = 0) -> Callable[[Float32], Float32]:
    """Of float32[m, d] the similarities float32[n, m] with each of ``a``, float32[n, d].

    ``documents``: how many there are in all, all m together. Where that is little work on a CPU numpy does it, and
    torch, which takes a second to import, stays out; what else is imported changes no score.
    """
    if name in ("cosine", "dot") and device == "cpu" and a.size * documents < WORTH_TORCH:
        asked = normalised(a) if name == "cosine" else a
        return lambda b: asked @ (normalised(b) if name == "cosine" else b).T
    import torch

    given = tensor(name, a, device)

    def compare(b: Float32) -> Float32:
        held = tensor(name, b, device)
        if name in ("cosine", "dot"):
            return _numpy(given @ held.T)
        exact = "donot_use_mm_for_euclid_dist"  # by a product of matrices near ones would lose their digits
        return _numpy(-torch.cdist(given, held, p=2 if name == "euclidean" else 1, compute_mode=exact))

    return compare


def tensor(name: str, side: Float32, device: str) -> Any:
    """The vectors as torch's, of length 1 where the cosine is asked for."""
    import torch

    tensor = torch.from_numpy(np.ascontiguousarray(side)).to(device)
    return torch.nn.functional.normalize(tensor, dim=1) if name == "cosine" else tensor


def pairwise(name: str, a: Float32, b: Float32) -> Float32:
    """float32[n]: each of float32[n, d] with its own of float32[n, d]."""
    if name == "cosine":
        a, b = normalised(a), normalised(b)
    found = {
        "euclidean": lambda: -np.linalg.norm(a - b, axis=1),
        "manhattan": lambda: -np.abs(a - b).sum(axis=1),
    }.get(name, lambda: np.einsum("nd,nd->n", a, b))()
    return np.asarray(found, np.float32)


def late_matrix(name: str, queries: Sequence[Float32], device: str = "cpu") -> Callable[[Sequence[Float32]], Float32]:
    """Of m documents, each float32[tokens, d], the scores float32[n, m] with each of n queries of the same shape."""
    if not queries:
        return lambda documents: np.zeros((0, len(documents)), np.float32)
    if name == "avgsim":
        compared = matrix("dot", np.stack([query.sum(0) for query in queries]), device)
        return lambda documents: compared(np.stack([_mean(document) for document in documents]))
    widths = [max(1, len(query)) for query in queries]
    groups = list(_parts([_DOCUMENTS * _TOKENS * width for width in widths], device))
    asked = [_padded([queries[i] for i in group], max(widths[i] for i in group), name, device) for group in groups]
    tokens = max(some.shape[0] * some.shape[1] for some in asked)

    def compare(documents: Sequence[Float32]) -> Float32:
        scores = np.zeros((len(queries), len(documents)), np.float32)
        lengths = [max(1, len(document)) for document in documents]
        for part in _parts([tokens * length for length in lengths], device):
            held = _padded([documents[i] for i in part], max(lengths[i] for i in part), "", device)
            for group, some in zip(groups, asked, strict=True):
                each = some.flatten(0, 1) @ held.flatten(0, 1).T
                best = each.view(len(some), some.shape[1], len(part), -1).amax(3)
                scores[np.ix_(group, part)] = _numpy(best.amax(1) if name == "maxmaxsim" else best.sum(1))
        return scores / _lengths(queries)[:, None] if name == "meanmaxsim" else scores

    return compare


def late_pairwise(name: str, queries: Sequence[Float32], documents: Sequence[Float32], device: str = "cpu") -> Float32:
    """float32[n]: each query, float32[tokens, d], with its own document."""
    if name == "avgsim":
        pairs = zip(queries, documents, strict=True)
        return np.array([query.sum(0) @ _mean(document) for query, document in pairs], np.float32)
    scores = np.zeros(len(queries), np.float32)
    widest = max((len(query) for query in queries), default=0)
    costs = [max(1, len(document)) * (max(1, widest) + document.shape[1]) for document in documents]
    for part in _parts(costs, device):
        asked, held = [queries[i] for i in part], [documents[i] for i in part]
        left = _padded(asked, max(1, *map(len, asked)), name, device)
        right = _padded(held, max(1, *map(len, held)), "", device)
        best = (left @ right.transpose(1, 2)).amax(2)
        scores[part] = _numpy(best.amax(1) if name == "maxmaxsim" else best.sum(1))
    return scores / _lengths(queries) if name == "meanmaxsim" else scores


def _elements(device: str) -> int:
    return ELEMENTS["cpu" if device == "cpu" else "cuda"]


def _parts(costs: Sequence[int], device: str) -> Iterator[list[int]]:
    """Places in rising order of cost, in parts whose number times the dearest stays within `ELEMENTS`."""
    most = _elements(device)
    part: list[int] = []
    for i in np.argsort(np.array(costs, np.int64), kind="stable").tolist():
        if part and (len(part) + 1) * costs[i] > most:
            yield part
            part = []
        part.append(i)
    if part:
        yield part


def _padded(rows: Sequence[Float32], width: int, name: str, device: str) -> Any:
    """A tensor float32[n, width, d]; filled with what changes nothing: zeros where tokens are summed, else a token."""
    import torch

    out = np.zeros((len(rows), width, rows[0].shape[1]), np.float32)
    for place, row in zip(out, rows, strict=True):
        place[: len(row)] = row
        if len(row) and name not in ("maxsim", "meanmaxsim"):
            place[len(row) :] = row[0]
    return torch.from_numpy(out).to(device)


def _mean(document: Float32) -> Float32:
    mean: Float32 = document.sum(0) / max(1, len(document))
    return mean


def _lengths(queries: Sequence[Float32]) -> Float32:
    return np.array([max(1, len(query)) for query in queries], np.float32)


def cut(vectors: Float32, dimension: int, unit: bool) -> Float32:
    """Of float32[n, d] the first ``dimension`` numbers of each, brought back to length 1 where ``unit`` says so."""
    first: Float32 = np.ascontiguousarray(vectors[:, :dimension])
    return normalised(first) if unit else first


def normalised(vectors: Float32) -> Float32:
    """Vectors of length 1; of length 0, as they are."""
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    found: Float32 = vectors / np.maximum(lengths, 1e-12)[:, None]
    return found


def _numpy(tensor: Any) -> Float32:
    found: Float32 = tensor.cpu().numpy()
    return found
