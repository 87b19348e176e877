import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from pets.data.batch import Batch
from pets.model.classifier import Classifier
from pets.model.layer_groups import norm_layers
from pets.model.losses import CrossEntropy, OneVsRest
from pets.model.network import Network

CLASSES = ["a", "b", "c"]


def small(**options: Any) -> Classifier:
    torch.manual_seed(0)
    return Classifier("resnet18", **({"classes": CLASSES, "weights": None, "head": {"hidden": 8}} | options))


def make_batch(size: int = 4, seed: int = 0, padded: int = 0, images: Tensor | None = None) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    padding = torch.arange(size) >= size - padded
    return Batch(
        images=torch.rand(size, 3, 32, 32, generator=generator) if images is None else images,
        targets=torch.randint(3, (size,), generator=generator),
        indices=torch.arange(size) + size * seed,
        sides=torch.full((size,), 32.0),
        uniforms=torch.zeros(size, 24),
        padding=padding,
    )


def make_trainer(tmp_path: Path, **options: Any) -> Trainer:
    quiet: dict[str, Any] = {
        "accelerator": "cpu", "devices": 1, "logger": False, "enable_checkpointing": False,
        "enable_progress_bar": False, "enable_model_summary": False, "max_epochs": 1, "log_every_n_steps": 1,
    }  # fmt: skip
    return Trainer(default_root_dir=tmp_path, **(quiet | options))


class Loader:
    """Ready-made batches; Lightning takes a plain list for several loaders."""

    def __init__(self, *batches: Batch) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class FreezeBody(Callback):
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Classifier)
        pl_module.freeze_to("head")


class Record(Callback):
    """Keeps the smoothed training loss after every step."""

    def __init__(self) -> None:
        self.smoothed: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        self.smoothed.append(trainer.callback_metrics["train/loss"].item())


def test_images_are_normalised_once_in_every_stage(tmp_path: Path) -> None:
    model = small()
    seen: list[Tensor] = []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    loader = Loader(make_batch(images=torch.full((4, 3, 32, 32), 0.5)))
    trainer = make_trainer(tmp_path, num_sanity_val_steps=1)
    trainer.fit(model, loader, loader)  # sanity check, training, validation
    trainer.validate(model, loader, verbose=False)
    trainer.test(model, loader, verbose=False)
    assert len(seen) == 5
    expected = (0.5 - model.mean) / model.std
    assert all(torch.equal(images, expected.expand(4, 3, 32, 32)) for images in seen)


def test_frozen_norms_in_eval_mode_change_nothing_over_an_epoch(tmp_path: Path) -> None:
    model = small(frozen_bn="eval")
    before = copy.deepcopy(model.backbone.state_dict())
    images = make_batch().images
    with torch.no_grad():
        features = model.eval().feature_map(images)
    model.train()
    trainer = make_trainer(tmp_path, callbacks=[FreezeBody()], max_epochs=2)
    trainer.fit(model, Loader(*(make_batch(seed=seed) for seed in range(2))), Loader(make_batch(seed=9)))
    assert all(torch.equal(value, before[key]) for key, value in model.backbone.state_dict().items())
    assert not any(norm.training for norm in norm_layers(model.backbone))
    assert model.head.training
    with torch.no_grad():
        assert torch.equal(model.train().feature_map(images), features)


def test_frozen_norms_in_train_mode_go_on_learning(tmp_path: Path) -> None:
    model = small(frozen_bn="train")
    before = copy.deepcopy(model.backbone.state_dict())
    trainer = make_trainer(tmp_path, callbacks=[FreezeBody()])
    trainer.fit(model, Loader(*(make_batch(seed=seed) for seed in range(2))), Loader(make_batch(seed=9)))
    norms = {f"{name}." for name, module in model.backbone.named_modules() if module in [*norm_layers(model.backbone)]}
    changed = {key for key, value in model.backbone.state_dict().items() if not torch.equal(value, before[key])}
    expected = {key for key in before if key.startswith(tuple(norms))}
    assert changed == expected
    assert all(norm.training for norm in norm_layers(model.backbone))


def test_train_loss_is_smoothed_over_the_fit_and_averaged_over_the_epoch(tmp_path: Path) -> None:
    model = small()
    losses: list[float] = []
    step = model.training_step

    def training_step(batch: Batch, batch_idx: int) -> Tensor:
        loss = step(batch, batch_idx)
        losses.append(loss.item())
        return loss

    model.training_step = training_step  # type: ignore[method-assign]
    record = Record()
    trainer = make_trainer(tmp_path, callbacks=[record], max_epochs=2)
    trainer.fit(model, Loader(make_batch(4), make_batch(2, seed=1)), Loader(make_batch(seed=9)))
    average, expected = 0.0, []
    for step_number, loss in enumerate(losses, start=1):
        average = 0.98 * average + 0.02 * loss
        expected.append(average / (1 - 0.98**step_number))
    assert record.smoothed == pytest.approx(expected, rel=1e-4)
    epoch_mean = trainer.callback_metrics["train/loss_epoch"].item()
    assert epoch_mean == pytest.approx((4 * losses[2] + 2 * losses[3]) / 6, rel=1e-5)


def test_the_smoothed_loss_survives_a_resume_and_starts_afresh_in_a_new_fit(tmp_path: Path) -> None:
    loaders = (Loader(*(make_batch(seed=seed) for seed in range(2))), Loader(make_batch(seed=9)))
    head = {"kind": "linear", "dropout": 0.0}
    straight, first, resumed, again = (Record() for _ in range(4))
    make_trainer(tmp_path, callbacks=[straight], max_epochs=2).fit(small(head=head), *loaders)
    model = small(head=head)
    trainer = make_trainer(tmp_path, callbacks=[first])
    trainer.fit(model, *loaders)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    trainer = make_trainer(tmp_path, callbacks=[resumed], max_epochs=2)
    trainer.fit(small(head=head), *loaders, ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert first.smoothed + resumed.smoothed == straight.smoothed
    make_trainer(tmp_path, callbacks=[again]).fit(model, *loaders)
    assert model.smoothed_loss.weight.item() == pytest.approx(1 - 0.98**2)


@pytest.mark.parametrize("part", ["valid", "test"])
def test_evaluation_counts_each_item_once(tmp_path: Path, part: str) -> None:
    model = small(loss=CrossEntropy(label_smoothing=0.1))
    batches = [make_batch(4, seed=0), make_batch(4, seed=1, padded=3)]
    run = make_trainer(tmp_path).validate if part == "valid" else make_trainer(tmp_path).test
    (logged,) = run(model, Loader(*batches), verbose=False)
    images, targets = (torch.cat([b[field][~b.padding] for b in batches]) for field in (0, 1))
    with torch.no_grad():
        logits = model.eval()(images)
    error = (logits.argmax(dim=1) != targets).float().mean().item()
    assert logged.keys() == {f"{part}/{name}" for name in ("loss", "error_rate", "accuracy", "accuracy_macro")}
    assert logged[f"{part}/error_rate"] == pytest.approx(error)
    assert logged[f"{part}/accuracy"] == pytest.approx(1 - error)
    assert logged[f"{part}/loss"] == pytest.approx(model.loss(logits, targets).item(), rel=1e-5)


def test_the_sanity_check_leaves_no_trace(tmp_path: Path) -> None:
    results = []
    for sanity_steps in (0, 2):
        trainer = make_trainer(tmp_path, num_sanity_val_steps=sanity_steps)
        trainer.fit(small(), Loader(make_batch()), Loader(make_batch(seed=1), make_batch(seed=2)))
        results.append({key: value.item() for key, value in trainer.callback_metrics.items()})
    assert results[0] == results[1]
    assert "valid/error_rate" in results[0]


@pytest.mark.parametrize("loss", [CrossEntropy(), OneVsRest()])
def test_soft_targets_train(tmp_path: Path, loss: torch.nn.Module) -> None:
    batch = make_batch()
    soft = 0.6 * torch.eye(3)[batch.targets] + 0.4 * torch.eye(3)[batch.targets.flip(0)]
    trainer = make_trainer(tmp_path)
    trainer.fit(small(loss=loss), Loader(batch._replace(targets=soft)), Loader(batch))
    assert trainer.callback_metrics["train/loss"].isfinite()


def test_all_parameters_are_in_the_optimizer_whatever_is_frozen() -> None:
    model = small()
    model.freeze_to("head")
    optimizer = model.configure_optimizers()
    assert isinstance(optimizer, torch.optim.AdamW)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))
    names = [group["name"] for group in optimizer.param_groups]
    assert names == [f"{layer}/{part}" for layer in ("early", "late", "head") for part in ("decay", "no_decay")]
    for group in optimizer.param_groups:
        assert (group["lr"], group["betas"], group["eps"]) == (1e-3, (0.9, 0.99), 1e-5)
        assert group["weight_decay"] == (0.0 if group["name"].endswith("no_decay") else 0.01)


def test_a_checkpoint_holds_plain_values_and_rebuilds_the_model(tmp_path: Path) -> None:
    model = small(loss=CrossEntropy(class_weights=[1, 2, 3]))
    trainer = make_trainer(tmp_path)
    trainer.fit(model, Loader(make_batch()), Loader(make_batch(seed=1)))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True, map_location="cpu")
    assert checkpoint["pets"] == model.spec()
    assert checkpoint["pets"]["classes"] == CLASSES
    images = make_batch().images
    with torch.no_grad():
        expected = model.eval()(images)
        for kind in (Network, Classifier):
            rebuilt = kind.from_spec(checkpoint["pets"])
            rebuilt.load_state_dict(checkpoint["state_dict"])
            assert torch.equal(rebuilt.eval()(images), expected)
    assert copy.deepcopy(model).state_dict().keys() == model.state_dict().keys()


def test_a_compiled_fit_learns_the_same_and_its_checkpoint_has_the_same_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[Any] = []

    def traced(function: Any) -> Any:
        compiled.append(function)
        return torch_compile(function, backend="eager")  # the tracer alone: generating code takes half a minute

    torch_compile = torch.compile
    monkeypatch.setattr(torch, "compile", traced)
    loader = Loader(*(make_batch(seed=seed) for seed in range(2)))
    states = {}
    for compile in (False, True):
        model = small(compile=compile)
        trainer = make_trainer(tmp_path, callbacks=[FreezeBody()])
        trainer.fit(model, loader, Loader(make_batch(seed=9)))
        path = tmp_path / f"{compile}.ckpt"
        trainer.save_checkpoint(path)
        states[compile] = torch.load(path, weights_only=True)["state_dict"]
    assert len(compiled) == 1
    assert list(states[True]) == list(states[False])
    torch.testing.assert_close(states[True], states[False])
    copy.deepcopy(model)(make_batch().images)  # as the LR finder does
