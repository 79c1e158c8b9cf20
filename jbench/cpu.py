"""What the processor has."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

_ROWS = 2048  # tokens of a batch, by which oneDNN chooses the order of weights
_CACHES, _SHAPES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"), "16"
# oneDNN and torch's layer over it read these when first used, and else keep .6 MB of code for each of 1,024 shapes of
# a product. Batches differ in shape; the layers that read one of them are of a few.


def bf16_units() -> bool:
    """Whether the CPU multiplies matrices of bf16 by units of their own, AMX or AVX-512's, and so the faster."""
    import torch

    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


@cache
def onednn_is_faster() -> bool:
    """Whether oneDNN multiplies float32 faster than MKL, torch's own: MKL uses AVX-512 on Intel's processors alone.

    ``test_share_of_the_matrix_rate`` of ``nox -s bench`` measures both products.
    """
    import torch

    if not torch.cpu._is_avx512_supported():
        return False
    with suppress(OSError):
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text("utf-8")
    return False


def quicken(module: Any) -> None:
    """Have the linear layers of a model that is not trained multiply by oneDNN, with its own copy of their weights.

    For float32 where oneDNN is faster, and for bf16 where there are units for it: torch would bring the weights into
    oneDNN's order anew at every product. Results are the same but for rounding. Weights read from safetensors in their
    own dtype are pages of the file, so that the copies are what takes memory. Sets two variables of the environment,
    where nobody has set them.
    """
    import torch

    if module.device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return
    for name in _CACHES:
        os.environ.setdefault(name, _SHAPES)
    found = {torch.float32: onednn_is_faster(), torch.bfloat16: bf16_units()}
    for layer in module.modules():
        if type(layer) is torch.nn.Linear and found.get(layer.weight.dtype):
            ordered = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), _ROWS)
            layer.forward = partial(_linear, ordered, layer.bias)  # type: ignore[method-assign] # this one alone


def _linear(weight: Any, bias: Any, given: Any) -> Any:
    import torch

    return torch.ops.mkldnn._linear_pointwise(given, weight, bias, "none", [], "")
