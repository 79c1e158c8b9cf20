"""What tests of several trainers share."""

import pytest


@pytest.fixture
def layers_in(monkeypatch):
    """The dtypes that linear layers give while training."""
    torch = pytest.importorskip("torch")
    from jbench.train import running

    monkeypatch.setattr(running, "precision_of", lambda recipe: recipe.precision)
    met = set()
    hook = torch.nn.modules.module.register_module_forward_hook(
        lambda module, given, found: (
            met.add(found.dtype) if module.training and isinstance(module, torch.nn.Linear) else None
        )
    )
    yield met
    hook.remove()
