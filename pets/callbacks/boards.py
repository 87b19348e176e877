"""What loggers show besides scalars: one call for each kind of thing, whichever loggers a run has."""

from collections.abc import Iterable, Mapping, Sequence
from functools import singledispatch
from typing import Any

import numpy as np
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch import Tensor
from torch.utils.tensorboard.summary import hparams

from pets import private_api
from pets.evaluation.figures.style import pixels

Value = float | str
PICTURES = "view"
"""Group of the names of all figures: TensorBoard opens on the groups in alphabetical order, and curves come first."""
SHOWN = 5
"""Columns of hyperparameters that TensorBoard's HPARAMS table shows unasked."""


class TensorBoard(TensorBoardLogger):
    """Lightning's logger without a chart of `epoch`, which is a straight line above all others."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write scalars."""
        super().log_metrics({name: value for name, value in metrics.items() if name != "epoch"}, step)


class Board:
    """A logger of numbers and hyperparameters, such as the one of CSV files: pictures lie in the run folder anyway."""

    def __init__(self, logger: Any) -> None:
        self.logger = logger

    def figure(self, name: str, figure: Figure, step: int) -> None:
        """Show a figure."""

    def text(self, name: str, text: str) -> None:
        """Show a text in Markdown."""

    def hyperparameters(self, params: Mapping[str, Value], columns: Sequence[str], metrics: Sequence[str]) -> None:
        """Record what the run was told; in a table `columns` are those that matter, `metrics` what it is judged by."""
        self.logger.log_hyperparams(dict(params))

    def charts(self, layout: Mapping[str, Any]) -> None:
        """Arrange curves in charts, as TensorBoard's page CUSTOM SCALARS wants them described."""

    def pr_curve(self, name: str, positive: NDArray[np.bool_], scores: NDArray[np.float32], step: int) -> None:
        """Show precision against recall, with a slider for the threshold."""

    def embedding(self, name: str, features: Tensor, rows: list[list[str]], thumbnails: Tensor, step: int) -> None:
        """Show images (n, 3, H, W) by their features (n, d); the rows, under a header, say what they are."""


class _TensorBoard(Board):
    def figure(self, name: str, figure: Figure, step: int) -> None:
        self.logger.experiment.add_image(name, pixels(figure), step, dataformats="HWC")

    def text(self, name: str, text: str) -> None:
        self.logger.experiment.add_text(name, text, 0)

    def hyperparameters(self, params: Mapping[str, Value], columns: Sequence[str], metrics: Sequence[str]) -> None:
        # The session names metrics it will find among the scalars and writes none, which would start curves at 0.
        experiment, *session = hparams(dict(params), dict.fromkeys(metrics, 0.0))  # type: ignore[no-untyped-call]
        _choose_columns(experiment, columns)
        writer = private_api.tensorboard_file_writer(self.logger.experiment)
        for summary in (experiment, *session):
            writer.add_summary(summary)

    def charts(self, layout: Mapping[str, Any]) -> None:
        self.logger.experiment.add_custom_scalars(layout)

    def pr_curve(self, name: str, positive: NDArray[np.bool_], scores: NDArray[np.float32], step: int) -> None:
        self.logger.experiment.add_pr_curve(name, positive, scores, step)

    def embedding(self, name: str, features: Tensor, rows: list[list[str]], thumbnails: Tensor, step: int) -> None:
        header, *metadata = rows
        self.logger.experiment.add_embedding(
            features, metadata=metadata, metadata_header=header, label_img=thumbnails, global_step=step, tag=name
        )


class _Wandb(Board):
    def figure(self, name: str, figure: Figure, step: int) -> None:
        self.logger.log_image(name, [Image.fromarray(pixels(figure))], step=step)

    def text(self, name: str, text: str) -> None:
        self.logger.experiment.summary[name] = text


class _MLFlow(Board):
    def figure(self, name: str, figure: Figure, step: int) -> None:
        self.logger.experiment.log_image(self.logger.run_id, Image.fromarray(pixels(figure)), f"{name}.png")

    def text(self, name: str, text: str) -> None:
        self.logger.experiment.log_text(self.logger.run_id, text, f"{name}.md")


@singledispatch
def board_of(logger: Logger) -> Board:
    """Return what a logger can show; another kind of logger is registered here."""
    return Board(logger)


board_of.register(TensorBoardLogger, _TensorBoard)
board_of.register(WandbLogger, _Wandb)
board_of.register(MLFlowLogger, _MLFlow)


def boards(loggers: Iterable[Logger]) -> list[Board]:
    """Return what the loggers can show. To be asked for in the first process only: elsewhere loggers are dummies."""
    return [board_of(logger) for logger in loggers]


def log_figure(loggers: Iterable[Logger], name: str, figure: Figure, step: int = 0) -> None:
    """Show a figure wherever there is a place for it."""
    for board in boards(loggers):
        board.figure(name, figure, step)


def _choose_columns(experiment: Summary, columns: Sequence[str]) -> None:
    """Keep some columns of the HPARAMS table and mark the first as different, which TensorBoard shows before others."""
    plugin_data = experiment.value[0].metadata.plugin_data
    content = HParamsPluginData.FromString(plugin_data.content)
    infos = {info.name: info for info in content.experiment.hparam_infos}
    for name in columns[:SHOWN]:
        infos[name].differs = True
    kept = [infos[name] for name in columns]
    del content.experiment.hparam_infos[:]
    content.experiment.hparam_infos.extend(kept)
    plugin_data.content = content.SerializeToString()
