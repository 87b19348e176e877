"""AdamW's fused kernel under a recipe: the same run within rounding, and every phase starts without state."""

from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer

from pets.schedule.recipe import Phase, one_cycle

RECIPE = one_cycle([Phase(1, True, 0.01), Phase(2, False, (0.001, 0.01))])


class States(Callback):
    """Records how many parameters have optimizer state before every step."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        self.sizes.append(len(optimizer.state))


def with_adamw(net: Any, fused: bool) -> Any:
    """Replace a network's optimizer."""
    groups = net.configure_optimizers().param_groups

    def configure() -> torch.optim.Optimizer:
        # The gradient of a bias before a batch norm is rounding alone: a large eps keeps it from being a direction.
        named = [{key: group[key] for key in ("name", "params", "weight_decay")} for group in groups]
        return torch.optim.AdamW(named, lr=1.0, betas=(0.9, 0.99), eps=1e-2, fused=fused)

    net.configure_optimizers = configure
    return net


@pytest.mark.parametrize("settings", [{}, {"gradient_clip_val": 0.1}, {"precision": "bf16-mixed"}], ids=str)
def test_the_fused_kernel_trains_alike(fit_with: Any, make_net: Any, settings: dict[str, Any]) -> None:
    states = States()
    plain = fit_with(None, RECIPE, net=with_adamw(make_net(), False), **settings)
    quick = fit_with(None, RECIPE, net=with_adamw(make_net(), True), callbacks=[states], **settings)
    assert quick.optimizers[0].param_groups[0]["fused"]
    assert states.sizes == [0, 2, 2, 2, 0] + [10] * 7
    theirs = plain.model.state_dict()
    for name, value in quick.model.state_dict().items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-4, atol=1e-5)


def test_clipping_under_mixed_precision_is_refused_in_words(fit_with: Any, make_net: Any) -> None:
    with pytest.raises(RuntimeError, match="does not allow for gradient clipping"):
        fit_with(None, RECIPE, net=with_adamw(make_net(), True), precision="bf16-mixed", gradient_clip_val=0.1)
