"""Memory: what the C library does with what is given back, and how it is known that there is none left."""

from __future__ import annotations

from ctypes import CDLL

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # malloc.h of glibc


def keep_memory() -> None:
    """Let the C library keep what a step frees for the next one, for the life of the process.

    Otherwise every large array is fresh pages of the system's (``tests/benchmarks/test_training.py`` measures what
    that costs). Elsewhere than on glibc nothing is done.
    """
    try:
        mallopt = CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for parameter, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 2**28)):
        mallopt(parameter, value)


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory did not suffice; torch has a class for it on a GPU, and none on a CPU."""
    said = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or any(words in str(error) for words in said)
