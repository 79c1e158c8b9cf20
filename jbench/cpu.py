"""What the processor has."""

from __future__ import annotations

from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any


def bf16_units() -> bool:
    """Whether the CPU multiplies matrices of bf16 by units of their own, AMX or AVX-512's, and so the faster."""
    import torch

    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


@cache
def onednn_is_faster() -> bool:
    """Whether oneDNN multiplies float32 faster than MKL, torch's own: MKL uses AVX-512 on Intel's processors alone.

    On an AMD EPYC with it one core gave 236 GFLOP/s by oneDNN and 102 by MKL (4,096 x 256 by 256 x 1,024).
    """
    import torch

    if not (torch.cpu._is_avx512_supported() and torch.backends.mkldnn.is_available()):  # type: ignore[no-untyped-call]
        return False
    with suppress(OSError):
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text("utf-8")
    return False


def quicken(module: Any) -> None:
    """Have the float32 linear layers of a model that is not trained multiply by oneDNN, where that is faster.

    Results are those of MKL but for rounding, as are those of another processor.
    """
    import torch

    if module.device.type != "cpu" or not onednn_is_faster():
        return
    for layer in module.modules():
        if type(layer) is torch.nn.Linear and layer.weight.dtype is torch.float32:
            layer.forward = partial(_linear, layer)  # type: ignore[method-assign] # this one alone


def _linear(layer: Any, given: Any) -> Any:
    import torch

    return torch.ops.mkldnn._linear_pointwise(given, layer.weight, layer.bias, "none", [], "")
