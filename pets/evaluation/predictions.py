"""Predictions: probabilities, targets and losses of each image, inferred once; every table and figure uses them."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from pets import console
from pets.augment.batch import evaluate_images
from pets.data.batch import Batch
from pets.data.images import open_image
from pets.data.presize import Presize
from pets.errors import UserError
from pets.escape import printable
from pets.files import open_regular, replacing, write_csv
from pets.model.weights import first_line

if TYPE_CHECKING:
    from pets.model.classifier import Classifier

NPZ_NAME, CSV_NAME = "predictions.npz", "predictions.csv"
UNPACKED_LEAST, UNPACKED_MOST = 2**28, 100
"""How many bytes an archive may unpack to in any case, and how many times its own size."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a classifier says of n labelled images.

    Raises:
        ValueError: If the lengths disagree, nothing was predicted or a target is not a class index.
    """

    probabilities: NDArray[np.float32]
    """float32 (n, C) in [0, 1]; rows sum to 1 after softmax, not after one-vs-rest."""
    targets: NDArray[np.int64]
    """int64 (n,) indices of the actual classes."""
    losses: NDArray[np.float32]
    """float32 (n,) loss of each image."""
    files: NDArray[np.str_]
    """str (n,) paths relative to the data root."""
    classes: tuple[str, ...]
    """C names, in the order of the columns of `probabilities`."""

    def __post_init__(self) -> None:
        n, n_classes = len(self.targets), len(self.classes)
        shapes = [self.probabilities.shape, self.targets.shape, self.losses.shape, self.files.shape]
        if shapes != [(n, n_classes), (n,), (n,), (n,)]:
            raise UserError(f"predictions of {n} images in {n_classes} classes cannot have the shapes {shapes}")
        if n == 0:
            raise UserError("predictions of no image: the part that was to be predicted is empty")
        if self.targets.min() < 0 or self.targets.max() >= n_classes:
            raise UserError(f"targets must be 0 to {n_classes - 1}, got {self.targets.min()} to {self.targets.max()}")

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """int64 (n,) indices of the most probable classes, the first one where several tie."""
        winners: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return winners

    @property
    def confidence(self) -> NDArray[np.float32]:
        """float32 (n,) probability of the predicted class."""
        highest: NDArray[np.float32] = self.probabilities.max(axis=1)
        return highest

    @property
    def p_actual(self) -> NDArray[np.float32]:
        """float32 (n,) probability given to the actual class."""
        return self.probabilities[np.arange(len(self)), self.targets]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """bool (n,) true where the predicted class is the actual one."""
        return np.equal(self.predicted, self.targets)

    def save(self, folder: Path) -> None:
        """Write `predictions.npz` and `predictions.csv` into a folder."""
        self.write_npz(folder / NPZ_NAME)
        self.write_csv(folder / CSV_NAME)

    def write_npz(self, path: Path) -> None:
        """Write all that there is, exact and without pickled objects."""
        arrays = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}
        with replacing(path) as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    def write_csv(self, path: Path) -> None:
        """Write a table to be read by people."""
        names = np.array(self.classes)
        columns = (self.files, names[self.targets], names[self.predicted], self.p_actual, self.confidence, self.losses)
        rows = ([*row[:3], *(f"{number:.4f}" for number in row[3:])] for row in zip(*columns, strict=True))
        write_csv(path, ["file", "actual", "predicted", "p_actual", "p_predicted", "loss"], rows)

    @classmethod
    def load(cls, folder: Path) -> Predictions:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: If the folder holds no `predictions.npz`.
            ValueError: If it is damaged, unpacks to far more than its size, or holds something else than such arrays:
                finite numbers, and files below the data root.
        """
        path = folder / NPZ_NAME
        try:
            with open_regular(path) as file:
                _check_archive(file)
                with np.load(file, allow_pickle=False) as arrays:
                    columns = {field.name: arrays[field.name] for field in fields(cls)}
            _check_columns(columns)
            return cls(**columns | {"classes": tuple(columns["classes"].tolist())})
        except FileNotFoundError:
            raise
        except Exception as error:  # a damaged archive fails in any way
            raise UserError(f"{path}: cannot be read as predictions: {first_line(error)}") from error


def _check_archive(file: BinaryIO) -> None:
    """Refuse, before anything is unpacked, an archive far larger inside than out, or with a header that is not true."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        unpacked = sum(member.file_size for member in members)
        if unpacked > max(UNPACKED_LEAST, UNPACKED_MOST * size):
            raise UserError(f"{size:,} bytes that unpack to {unpacked:,}")
        for member in members:
            with archive.open(member) as stream:
                version = np.lib.format.read_magic(stream)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(stream)
                if dtype.hasobject:
                    raise UserError("Object arrays would be unpickled")
                if stream.tell() + math.prod(shape) * dtype.itemsize != member.file_size:
                    raise UserError(f"{member.filename} says {dtype} {shape}, which is not its size")
    file.seek(0)


def _check_columns(columns: dict[str, NDArray[Any]]) -> None:
    """Check types and values of what an archive held; the constructor checks the shapes."""
    for name, dtype in (("probabilities", np.float32), ("targets", np.int64), ("losses", np.float32)):
        if columns[name].dtype != dtype:
            raise UserError(f"{name} are {columns[name].dtype}, not {np.dtype(dtype)}")
    for name in ("files", "classes"):
        if columns[name].dtype.kind != "U" or columns[name].ndim != 1:
            raise UserError(f"{name} are {columns[name].dtype} of {columns[name].ndim} dimensions, not a list of texts")
    probabilities = columns["probabilities"]
    if not ((probabilities >= 0) & (probabilities <= 1 + 1e-6)).all() or not np.isfinite(columns["losses"]).all():
        raise UserError("probabilities must be in [0, 1] and losses finite")
    for name in columns["files"].tolist():
        if PurePosixPath(name).is_absolute() or not name or ".." in PurePosixPath(name).parts or "\0" in name:
            raise UserError(f"the file {printable(name)} lies outside the data root")


def infer(
    classifier: Classifier,
    loader: Iterable[Batch],
    transform: Callable[[Batch], Batch],
    files: NDArray[np.str_],
    classes: Sequence[str],
) -> Predictions:
    """Predict every image of a loader once, on the classifier's device, in evaluation mode and without gradients.

    Under several processes each predicts its share and all of them return the predictions of the whole.

    Args:
        classifier: Left in the mode in which it came.
        loader: Batches of uint8 images; items marked as padding are not counted.
        transform: The batch transform, from uint8 to float images in [0, 1].
        files: The paths of the item table, to which the indices of a batch refer.
        classes: The classes to which the targets refer.

    Returns:
        The predictions in the order of the item table.

    Raises:
        ValueError: If the classifier knows other classes, or the same in another order.
    """
    if tuple(classes) != tuple(classifier.classes):
        raise UserError(
            f"the data have the {len(classes)} classes {', '.join(classes)}; "
            f"the classifier was trained on the {len(classifier.classes)} classes {', '.join(classifier.classes)}"
        )
    device = next(classifier.parameters()).device
    with evaluating(classifier), torch.no_grad():
        total, shown = len(loader) if isinstance(loader, Sized) else None, None if rank_of_world()[0] == 0 else False
        with console.progress("predicting", total, shown) as bar:
            chunks = [_infer_batch(classifier, Batch(*(t.to(device) for t in b)), transform) for b in bar.over(loader)]
    columns = gather([torch.cat(column).cpu() for column in zip(*chunks, strict=True)])
    indices, targets, probabilities, losses = (column.numpy() for column in columns)
    # A repeated index is the same image seen by two processes that each read the whole part.
    indices, rows = np.unique(indices, return_index=True)
    return Predictions(probabilities[rows], targets[rows], losses[rows], files[indices], tuple(classes))


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode, then give every part of it its own mode back, frozen BatchNorm included."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training


def _infer_batch(classifier: Classifier, batch: Batch, transform: Callable[[Batch], Batch]) -> tuple[Tensor, ...]:
    """Return (indices, targets, probabilities, losses) of the items of a batch that are not padding."""
    kept = ~batch.padding
    logits = classifier(transform(batch).images)[kept].float()
    targets = batch.targets[kept]
    losses = classifier.loss(logits, targets, reduction="none")
    return batch.indices[kept], targets, classifier.loss.probabilities(logits), losses


def rank_of_world() -> tuple[int, int]:
    """Return which of how many processes this is."""
    together = dist.is_available() and dist.is_initialized()
    return (dist.get_rank(), dist.get_world_size()) if together else (0, 1)


def gather(columns: list[Tensor]) -> list[Tensor]:
    """Concatenate the columns of all processes."""
    _, world_size = rank_of_world()
    if world_size == 1:
        return columns
    shares: list[list[Tensor]] = [[]] * world_size
    dist.all_gather_object(shares, columns)
    return [torch.cat(column) for column in zip(*shares, strict=True)]


def evaluation_images(root: Path, files: Iterable[str], presize: Presize, size: int) -> Tensor:
    """Return k images below a root under the evaluation transform, float32 (k, 3, size, size) in [0, 1]."""
    canvases, sides = zip(*(presize(open_image(root / str(file))) for file in files), strict=True)
    return evaluate_images(torch.stack(canvases), torch.tensor(sides, dtype=torch.float32), size)
