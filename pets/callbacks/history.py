"""The table of epochs: one line on the console and one row in history.csv for each, across all phases of a run."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from pets.console import clock
from pets.files import write_csv
from pets.model.layer_groups import format_group_table, group_table
from pets.settings.metrics import CURVES

log = logging.getLogger("pets.history")

METRICS = {metric.column: tag for tag, metric in CURVES.items() if metric.column}
"""A column of history.csv and the logged metric it holds."""
COLUMNS = ("epoch", "phase", *(column for column, tag in METRICS.items() if CURVES[tag].console), "time")
"""The console's columns: fastai's, and the phase."""


WIDTHS = {"epoch": 5, "phase": 8, "time": 7}
"""Characters of the console's columns other than `WIDTH`: together with two spaces between them they are 60."""
WIDTH = 10


def table_line(row: Mapping[str, Any]) -> str:
    """Return one aligned line of the console's table."""
    cells = {name: f"{row[name]:.6f}" if isinstance(row[name], float) else str(row[name]) for name in COLUMNS}
    return "  ".join(f"{cell:>{WIDTHS.get(name, WIDTH)}}" for name, cell in cells.items())


class History(Callback):
    """Print and keep one row an epoch; a resumed run continues below the rows of the epochs it keeps.

    Args:
        path: The CSV file, written anew, whole, after each epoch; None: there is none.
    """

    def __init__(self, path: str | Path | None) -> None:
        self.path = None if path is None else Path(path)
        self.rows: list[dict[str, Any]] = []
        self._started = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far: plain values, so that they travel in a checkpoint."""
        return {"rows": [dict(row) for row in self.rows]}

    def last_metrics(self) -> dict[str, float]:
        """Return what the last epoch measured, by the names under which it was logged."""
        row = self.rows[-1] if self.rows else {}
        return {metric: row[column] for column, metric in METRICS.items() if row.get(column) is not None}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the rows of the run that is resumed."""
        self.rows = [dict(row) for row in state_dict["rows"]]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the table of layer groups, the heading, and the rows of a resumed run."""
        self._started = time.perf_counter()  # a run resumed in the middle of an epoch does not start one
        if trainer.is_global_zero:
            for optimizer in trainer.optimizers:
                if all("name" in group for group in optimizer.param_groups):
                    log.info(f"\n{format_group_table(group_table(optimizer.param_groups))}\n")
            log.info(table_line({name: name for name in COLUMNS}))
            for row in self.rows:
                log.info(table_line({**row, "time": clock(row["seconds"])}))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the epoch's clock."""
        self._started = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the epoch's row; validation is over and its metrics are known."""
        logged = trainer.callback_metrics
        row: dict[str, Any] = {"epoch": trainer.current_epoch, "phase": phase_of(pl_module)}
        row |= {column: float(logged[metric]) if metric in logged else None for column, metric in METRICS.items()}
        row |= {"step": trainer.global_step, "seconds": round(time.perf_counter() - self._started, 3)}
        row |= {f"lr_{group}": lr for group, lr in _learning_rates(trainer).items()}
        self.rows.append(row)
        if trainer.is_global_zero:
            log.info(table_line({**row, "time": clock(row["seconds"])}))
            if self.path is not None:
                self._write(self.path)

    def _write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = list(self.rows[0])
        write_csv(path, columns, ([row.get(column) for column in columns] for row in self.rows))


def phase_of(pl_module: LightningModule) -> str:
    """Return what learns now: `frozen`, the head alone, or `unfrozen`, everything."""
    return "frozen" if getattr(pl_module, "frozen_groups", ()) else "unfrozen"


def _learning_rates(trainer: Trainer) -> dict[str, float]:
    """Return the last learning rate of each layer group; decay and no_decay share it."""
    groups = (group for optimizer in trainer.optimizers for group in optimizer.param_groups)
    return {group["name"].split("/")[0]: float(group["lr"]) for group in groups if "name" in group}
