"""What a training step of a small model costs on a CPU, against the same step as the libraries set it up."""

import pytest

from jbench.cpu import bf16_units
from tests.benchmarks.rows import Command, ratio

STEP = """
import sys
import torch
from transformers import ModernBertConfig, ModernBertModel
from jbench.memory import keep_memory

attention, memory, dtype = sys.argv[1:]
if memory == "kept":
    keep_memory()
config = ModernBertConfig(vocab_size=10_000, hidden_size=256, num_hidden_layers=4, num_attention_heads=4,
                          intermediate_size=640, attn_implementation=attention, pad_token_id=0)
model = ModernBertModel(config)
ids = torch.randint(10, 10_000, (48, 128))
for _ in range(10):
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bf16"):
        model(ids).last_hidden_state.float().square().mean().backward()
"""


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (("eager", "kept", "bf16"), ("sdpa", "kept", "bf16")),
        (("eager", "kept", "bf16"), ("eager", "given back", "bf16")),
        (("eager", "kept", "bf16"), ("sdpa", "given back", "fp32")),
    ],
    ids=["attention written out against fused", "memory kept against given back", "both and bf16 against none"],
)
def test_ten_steps(benchmark, ours, theirs):
    if not bf16_units():
        pytest.skip("this CPU has no units for bf16")
    ratio(benchmark, Command("-c", STEP, *ours), Command("-c", STEP, *theirs), rounds=5)
