"""The table of epochs: what is printed, what is kept, what a resumed run continues."""

import csv
import logging
from pathlib import Path

import pytest
import torch
from lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from pets.callbacks.history import History, clock, table_line


class Line(LightningModule):
    """A model that logs what the history reads."""

    frozen_groups: tuple[str, ...] = ("early", "late")

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss = self.layer(batch).square().mean()
        self.log("train/loss", loss.detach())
        return loss

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("valid/error_rate", torch.tensor(0.25))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([{"params": list(self.parameters()), "name": "head/decay"}], lr=0.5)


def train(history: History, folder: Path, epochs: int, ckpt_path: Path | None = None) -> Trainer:
    trainer = Trainer(
        max_epochs=epochs, callbacks=[history], logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu", default_root_dir=folder, num_sanity_val_steps=0,
    )  # fmt: skip
    loader: DataLoader[Tensor] = DataLoader(torch.ones(4, 1))  # type: ignore[arg-type]
    trainer.fit(Line(), loader, loader, ckpt_path=ckpt_path, weights_only=True)
    return trainer


def test_one_row_an_epoch_and_a_resumed_run_goes_on_below(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "pets.history"):
        train(History(tmp_path / "history.csv"), tmp_path, epochs=2).save_checkpoint(tmp_path / "two.ckpt")
        train(History(tmp_path / "history.csv"), tmp_path, epochs=3, ckpt_path=tmp_path / "two.ckpt")
    rows = list(csv.DictReader((tmp_path / "history.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert [row["step"] for row in rows] == ["4", "8", "12"]
    assert {row["phase"] for row in rows} == {"frozen"}
    assert {row["lr_head"] for row in rows} == {"0.5"}
    assert {float(row["error_rate"]) for row in rows} == {0.25}
    assert rows[0]["valid_loss"] == ""
    messages = [record.message for record in caplog.records if record.name == "pets.history"]
    assert messages[0].split()[:5] == ["group", "parameters", "trainable", "start", "lr"]
    printed = [message for message in messages if "parameters" not in message]
    assert printed[0].split() == ["epoch", "phase", "train_loss", "valid_loss", "error_rate", "time"]
    assert [line.split()[0] for line in printed] == ["epoch", "0", "1", "epoch", "0", "1", "2"]
    assert "\r" not in "".join(printed)


def test_the_line_stands_below_its_heading() -> None:
    row = {"epoch": 3, "phase": "unfrozen", "train_loss": 1.5, "valid_loss": 0.25, "error_rate": 0.125, "time": "0:07"}
    assert table_line(row) == "    3  unfrozen    1.500000    0.250000    0.125000     0:07"
    assert len(table_line(row)) == 60


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (600, "10:00"), (3725, "1:02:05")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text
