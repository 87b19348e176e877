"""Imbalance in a whole fit: the weights of the loss, the images of an epoch, a resumed epoch, two processes."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from pets import build
from pets.data.sampler import Start

ROOT = Path(__file__).parents[1]
BALANCED = ["data.sampler=balanced", "loss.class_weights=balanced"]


@pytest.fixture
def rare(tmp_path: Path) -> str:
    """An override that leaves three of eight Birmans."""
    (tmp_path / "exclude.csv").write_text("file\n" + "".join(f"Birman_{i}.jpg\n" for i in range(3, 8)))
    return f"data.exclude={tmp_path}/exclude.csv"


def test_a_fit_counts_its_classes_and_its_checkpoint_keeps_the_weights(
    tiny_config: Callable[..., DictConfig], rare: str, tmp_path: Path
) -> None:
    cfg = tiny_config(rare, "data.split.method=stratified", "recipe.freeze_epochs=0", *BALANCED)
    data = build.data_module(cfg)
    counts = np.bincount(data.table.targets[data.splits.train])
    assert counts.min() < counts.max()
    model = build.classifier(cfg, data.vocab)
    trainer = build.trainer(cfg, callbacks=[], logger=False)
    trainer.fit(model, data)
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    weights = torch.load(tmp_path / "x.ckpt", weights_only=True)["pets"]["loss"]["class_weights"]
    assert weights == pytest.approx((counts.sum() / (3 * counts)).tolist())


def test_a_balanced_epoch_augments_repeats_anew_and_is_resumed_in_the_middle(
    tiny_config: Callable[..., DictConfig], rare: str
) -> None:
    data = build.data_module(tiny_config(rare, "data.batch_size=4", "data.split.method=stratified", *BALANCED))
    batches = list(data.loader("train", training=True, shuffle=True, epoch=2))
    indices = torch.cat([batch.indices for batch in batches])
    assert len(indices.unique()) < len(indices)
    assert len(torch.cat([batch.uniforms for batch in batches]).unique(dim=0)) == len(indices)
    data.start = Start(epoch=2, images=8)
    rest = list(data.loader("train", training=True, shuffle=True, epoch=2))
    assert len(rest) == len(batches) - 2
    for ours, theirs in zip(rest, batches[2:], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_evaluation_is_not_balanced(tiny_config: Callable[..., DictConfig]) -> None:
    data = build.data_module(tiny_config(*BALANCED))
    for part in ("train", "valid"):
        indices = torch.cat([batch.indices for batch in data.loader(part)])
        assert indices.tolist() == getattr(data.splits, part).tolist()


@pytest.mark.ddp
def test_two_processes_share_one_balanced_epoch(tiny_pets: Path, rare: str, tmp_path: Path) -> None:
    command = [
        "trainer=ddp_cpu", "data=regex", f"data.root={tiny_pets}", rare, "data.presize.size=40", "augment.size=32",
        "data.batch_size=2", "data.split.method=stratified", "data.num_workers=0", "model=timm",
        "model.arch=test_resnet", "model.weights=null", "model.head.hidden=8", "recipe.epochs=1", "lr_finder=apply",
        "lr_finder.num_steps=30", "evaluate.at_end=false", "+callbacks.probe._target_=ddp_probe.Probe",
        f"+callbacks.probe.folder={tmp_path}", *BALANCED,
    ]  # fmt: skip
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "probes")])
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *command], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ours, theirs = (torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1))
    assert torch.equal(torch.stack(ours["parameters"]), torch.stack(theirs["parameters"]))
    assert len(ours["train"]) == len(theirs["train"]) == 16
    breeds = np.repeat([0, 1, 2], [3, 8, 8])
    for epoch in (slice(0, 8), slice(8, 16)):
        seen = np.bincount(breeds[ours["train"][epoch] + theirs["train"][epoch]], minlength=3)
        assert seen.max() - seen.min() <= 1
    draws = torch.cat([*ours["draws"], *theirs["draws"]])
    assert len(draws.unique(dim=0)) == len(draws)
