"""The closed form becomes the head once, from the images of the training part, whatever the number of processes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from omegaconf import DictConfig
from torch import nn

from pets import build
from pets.callbacks.head_init import HeadInit
from pets.evaluation.features import FeatureStore
from pets.model.classifier import Classifier
from pets.model.head_solver import solve_head
from pets.settings.model import Head

LDA = ("model.head.kind=linear", "model.head.normalize=true", "model.head.init=lda")


def start(cfg: DictConfig, **settings: Any) -> tuple[Trainer, Classifier]:
    """Start a fit that ends before its first step."""
    data = build.data_module(cfg)
    model = build.classifier(cfg, data.vocab)
    quiet: dict[str, Any] = {
        "accelerator": "cpu", "max_epochs": 0, "logger": False, "enable_checkpointing": False,
        "enable_progress_bar": False, "enable_model_summary": False, "use_distributed_sampler": False,
    }  # fmt: skip
    trainer = Trainer(callbacks=[HeadInit()], **(quiet | settings))
    trainer.fit(model, data)
    return trainer, model


def expected_head(cfg: DictConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the closed form by hand, from one batch with all training images."""
    data = build.data_module(cfg)
    model = build.classifier(cfg, data.vocab).eval()
    data.batch_size = len(data.splits.train)
    batch = data.batch_transform.evaluate(next(iter(data.loader("train"))))
    with torch.inference_mode():
        pooled = model.feature_map(batch.images).mean((2, 3))
    normalised = pooled / pooled.square().mean(1, keepdim=True).sqrt()
    weight, bias, *_ = solve_head(normalised, batch.targets, len(model.classes), Head(**model.head_options))
    return weight, bias


def last_layer(model: Classifier) -> nn.Linear:
    layer = model.head[-1]
    assert isinstance(layer, nn.Linear)
    return layer


def test_the_fit_starts_from_the_discriminant_of_the_training_part(tiny_config: Callable[..., DictConfig]) -> None:
    cfg = tiny_config(*LDA)
    _, model = start(cfg)
    weight, bias = expected_head(cfg)
    torch.testing.assert_close(last_layer(model).weight.detach(), weight.float(), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(last_layer(model).bias.detach(), bias.float(), rtol=1e-3, atol=1e-4)
    assert model.training


def test_the_body_and_its_norms_stay_as_they_are(tiny_config: Callable[..., DictConfig]) -> None:
    cfg = tiny_config(*LDA)
    untouched = build.classifier(cfg, ["Birman", "great_pyrenees", "pug"])
    _, model = start(cfg)
    for (name, before), after in zip(
        untouched.backbone.state_dict().items(), model.backbone.state_dict().values(), strict=True
    ):
        assert torch.equal(before, after), name


def test_a_random_head_stays_random(tiny_config: Callable[..., DictConfig]) -> None:
    cfg = tiny_config("model.head.kind=linear")
    _, model = start(cfg)
    assert torch.equal(last_layer(model).weight, last_layer(build.classifier(cfg, model.classes)).weight)


def test_a_resumed_run_keeps_its_head(tiny_config: Callable[..., DictConfig], tmp_path: Path) -> None:
    cfg = tiny_config(*LDA)
    trainer, model = start(cfg)
    with torch.no_grad():
        last_layer(model).weight.fill_(0.5)
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    resumed = build.classifier(cfg, model.classes)
    trainer.fit(resumed, build.data_module(cfg), ckpt_path=tmp_path / "x.ckpt", weights_only=True)
    assert torch.equal(last_layer(resumed).weight, last_layer(model).weight)


def test_it_says_that_it_needs_the_data_module(tiny_config: Callable[..., DictConfig]) -> None:
    cfg = tiny_config(*LDA)
    data = build.data_module(cfg)
    model = build.classifier(cfg, data.vocab)
    trainer = Trainer(accelerator="cpu", max_epochs=0, callbacks=[HeadInit()], logger=False, enable_checkpointing=False)
    with pytest.raises(ValueError, match=r"model\.head\.init=lda: the trainer needs the data module"):
        trainer.fit(model, data.train_dataloader(), data.val_dataloader())


@pytest.mark.ddp
def test_two_processes_get_the_head_of_one(tiny_config: Callable[..., DictConfig], tmp_path: Path) -> None:
    cfg = tiny_config(*LDA, "data.batch_size=3")

    class Save(HeadInit):
        def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
            super().on_fit_start(trainer, pl_module)
            found = FeatureStore(pl_module, trainer.datamodule).features("train")  # type: ignore[arg-type, attr-defined]
            torch.save((pl_module.head[-1].weight.detach(), found.targets), tmp_path / f"{trainer.global_rank}.pt")

    data = build.data_module(cfg)
    model = build.classifier(cfg, data.vocab)
    trainer = Trainer(
        accelerator="cpu", devices=2, strategy="ddp_fork", max_epochs=0, callbacks=[Save()], logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(model, data)
    weight, _ = expected_head(cfg)
    for rank in range(2):
        found, targets = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert len(targets) == len(data.splits.train)
        torch.testing.assert_close(found, weight.float(), rtol=1e-3, atol=1e-4)
