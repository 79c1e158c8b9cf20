"""A compact record of texts: whether one was among those that a model was trained on.

A Bloom filter over 64-bit hashes of normalised texts. What was in is found; what was not is found by chance,
at a rate that the filter itself tells: the share of its bits that are set, to the power of the number of
hashes. At one in a million a text takes 3.6 bytes. The file holds the bits alone and the manifest beside it a few
numbers, so that a stranger's can be read safely.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256
from itertools import islice
from math import ceil, log
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field, ValidationError

from jbench.files import write
from jbench.types import Unavailable

UInt64 = npt.NDArray[np.uint64]

FILE = "training_texts.bin"
RATE = 1e-6
"""How often a text that was not there is found, unless `MOST` cuts the filter short."""

MOST = 1 << 26
"""Bytes of the largest filter: 18 million texts at `RATE`; of more, a larger share is found by chance."""

_LARGEST_READ = 1 << 30
_BATCH = 1 << 16
_DROPPED = ("P", "Z", "C")
PRIME = np.uint64(0x9E3779B97F4A7C15)
"""Odd, its bits mixed: what steps from one hash to the next."""


class _Table(dict[int, int | None]):
    """For `str.translate`: punctuation, spaces and controls go, everything else stays; filled as needed."""

    def __missing__(self, code: int) -> int | None:
        self[code] = None if unicodedata.category(chr(code))[0] in _DROPPED else code
        return self[code]


_TABLE = _Table()


def normalised(text: str) -> str:
    """NFKC, lower case, without punctuation, spaces and controls."""
    return unicodedata.normalize("NFKC", text).lower().translate(_TABLE)


def hashed(texts: Sequence[str]) -> UInt64:
    """64 bits of each text (BLAKE2b); the empty text has a hash that no other has."""
    digests = b"".join(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def mixed(values: UInt64) -> UInt64:
    """Each value's bits spread over all 64 (splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class _Entry(BaseModel):
    """What a manifest says of the file beside it."""

    file: str = Field(pattern=r"^\w[\w.-]*$")
    sha256: str
    bytes: int = Field(ge=1, le=_LARGEST_READ)
    hashes: int = Field(ge=1, le=64)
    texts: int = Field(ge=0)


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """``bits`` (uint8[n], 8n of them), how many each text sets, and how many distinct normalised texts went in."""

    bits: npt.NDArray[np.uint8]
    hashes: int
    texts: int

    @property
    def rate(self) -> float:
        """The share of other texts that are found by chance, from the bits that are set."""
        return float((np.bitwise_count(self.bits).sum(dtype=np.int64) / (8 * len(self.bits))) ** self.hashes)

    def holds(self, texts: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Whether each text, normalised, was in; one of which nothing is left never was."""
        plain = [normalised(text) for text in texts]
        found = np.array([bool(text) for text in plain], np.bool_)
        for places in _places(hashed(plain), self.hashes, len(self.bits)):
            found &= (self.bits[places >> np.uint64(3)] >> (places & np.uint64(7)).astype(np.uint8)) & 1 == 1
        return found

    def write(self, folder: Path) -> dict[str, Any]:
        """Write the bits into a folder as `FILE`; what its manifest is to say of them, under ``fingerprint``."""
        raw = self.bits.tobytes()
        write(folder / FILE, raw)
        return {
            "file": FILE,
            "sha256": sha256(raw).hexdigest(),
            "bytes": len(raw),
            "hashes": self.hashes,
            "texts": self.texts,
            "false_positive_rate": float(f"{self.rate:.3g}"),
        }


def of(texts: Iterable[str], rate: float = RATE, most: int = MOST) -> Fingerprint:
    """The fingerprint of ``texts``; of those that are one when normalised, one. 8 bytes are held of each.

    :param rate: the share of other texts that may be found by chance.
    :param most: bytes that are not to be exceeded, at a higher rate.
    """
    distinct = np.unique(np.concatenate([np.zeros(0, np.uint64), *_hashes(iter(texts))]))
    count = max(len(distinct), 1)
    size = min(most, max(8, ceil(-count * log(rate) / log(2) ** 2 / 8)))
    hashes = max(1, round(8 * size / count * log(2))) if size == most else max(1, round(-log(rate) / log(2)))
    bits = np.zeros(size, np.uint8)
    for start in range(0, len(distinct), _BATCH):
        for places in _places(distinct[start : start + _BATCH], hashes, size):
            np.bitwise_or.at(bits, places >> np.uint64(3), np.uint8(1) << (places & np.uint64(7)).astype(np.uint8))
    return Fingerprint(bits, hashes, len(distinct))


def read(folder: Path, entry: Any) -> Fingerprint:
    """The fingerprint that a manifest in ``folder`` names.

    :raises Unavailable: when it is missing, or is not what the manifest says.
    """
    try:
        said = _Entry.model_validate(entry)
        path = folder / said.file
        if path.stat().st_size != said.bytes:
            raise Unavailable(f"{path} has {path.stat().st_size} bytes, not the {said.bytes} that its manifest says")
        raw = path.read_bytes()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, ("fingerprint", *first["loc"])))
        raise Unavailable(f"the manifest in {folder}: {where}: {first['msg']}") from error
    except OSError as error:
        raise Unavailable(f"cannot read {path}: {error.strerror}") from error
    if sha256(raw).hexdigest() != said.sha256:
        raise Unavailable(f"{path} has another sha256 than its manifest says")
    return Fingerprint(np.frombuffer(raw, np.uint8), said.hashes, said.texts)


def _hashes(texts: Iterator[str]) -> Iterator[UInt64]:
    while batch := list(islice(texts, _BATCH)):
        yield np.unique(hashed([plain for text in batch if (plain := normalised(text))]))


def _places(values: UInt64, hashes: int, size: int) -> Iterator[UInt64]:
    """The bits of each value, one hash after another: the generator splitmix64, begun at the value."""
    for _ in range(hashes):
        values = values + PRIME
        yield mixed(values) % np.uint64(8 * size)
