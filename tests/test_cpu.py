"""What is asked of the processor, and what follows."""

from pathlib import Path

import pytest
import torch

import jbench.cpu as module
from jbench.cpu import bf16_units, quicken
from tests.benchmarks.rows import Command
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("amx", "avx512", "there"), [(False, False, False), (True, False, True), (False, True, True), (True, True, True)]
)
def test_bf16_has_units_where_amx_or_avx512_brings_them(amx, avx512, there, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    assert bf16_units() is there


ONEDNN = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN")
FASTER = {torch.float32: ("onednn_is_faster", 1e-6), torch.bfloat16: ("bf16_units", 1e-2)}


@ONEDNN
@pytest.mark.parametrize("dtype", list(FASTER))
@pytest.mark.parametrize("rows", [(7,), (1, 9), (3, 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_layers_by_onednn_give_what_torch_gives(rows, bias, dtype, monkeypatch):
    if dtype is torch.bfloat16 and not bf16_units():
        pytest.skip("this CPU has no units for bf16, and oneDNN may not know it here")
    asked, within = FASTER[dtype]
    monkeypatch.setattr(module, asked, lambda: True)
    layers = torch.nn.Sequential(torch.nn.Linear(32, 64, bias), torch.nn.GELU(), torch.nn.Linear(64, 16, bias))
    layers.to(dtype).device = torch.device("cpu")
    given = torch.randn(*rows, 32, dtype=dtype)
    with torch.inference_mode():
        usual = layers(given)
        quicken(layers)
        assert "forward" in vars(layers[0])
        torch.testing.assert_close(layers(given), usual, atol=within, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_other_layers_are_left_as_they_are(dtype, monkeypatch):
    for other, (asked, _) in FASTER.items():
        monkeypatch.setattr(module, asked, lambda other=other: other is not dtype)
    layer = torch.nn.Linear(4, 4, dtype=dtype)
    layer.device = torch.device("cpu")
    quicken(layer)
    assert "forward" not in vars(layer)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
@ONEDNN
def test_many_shapes_of_a_product_leave_little_behind():
    """In a process of its own, as the caches are sized by the first product."""
    code = """
import torch
from jbench import cpu
from tests.benchmarks.rows import held_mb

cpu.onednn_is_faster = lambda: True
layer, given = torch.nn.Linear(64, 64), torch.randn(3000, 64)
layer.device = given.device
cpu.quicken(layer)
with torch.inference_mode():
    layer(given)
    before = held_mb("RssAnon")
    for rows in range(2600, 3000):
        layer(given[:rows])
print(held_mb("RssAnon") - before)
"""
    assert float(Command("-c", code, cwd=ROOT)()) < 60
