"""What the processor has."""

from __future__ import annotations


def bf16_units() -> bool:
    """Whether the CPU multiplies matrices of bf16 by units of their own, AMX or AVX-512's, and so the faster."""
    import torch

    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
