"""Where bf16 is worth computing in."""

import pytest
import torch

from jbench.cpu import bf16_units


@pytest.mark.parametrize(
    ("amx", "avx512", "there"), [(False, False, False), (True, False, True), (False, True, True), (True, True, True)]
)
def test_bf16_has_units_where_amx_or_avx512_brings_them(amx, avx512, there, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    assert bf16_units() is there
