"""The batch transform, 64 x 460^2 -> 224^2: milliseconds."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import ours, rivals
from benchmarks.harness import Case, Claim, Table, interleave
from benchmarks.settings import Settings
from pets.augment.batch import BatchTransform
from pets.data.presize import Presize

BATCH = 64

T = TypeVar("T")


def measure(settings: Settings) -> Iterator[Table]:
    """Yield the transforms' times on one and the same batch."""
    batch = ours.first_batch(ours.data_module(settings.images.root, BATCH, Presize(rivals.PRESIZE)))
    smaller = ours.first_batch(ours.data_module(settings.images.root, BATCH))
    transform, sharper = BatchTransform(), BatchTransform(supersample=2)
    cases = [
        Case("ours", partial(_run, transform.train, batch)),
        Case(f"ours, {smaller.images.shape[-1]}^2 (the default)", partial(_run, transform.train, smaller)),
        Case("ours, 2x2 samples", partial(_run, sharper.train, batch)),
        Case("ours, evaluation", partial(_run, transform.evaluate, batch)),
        Case("limit", partial(_run, _grid_sample_only, batch.images)),
    ]
    table = Table("batch", "Batch transform, 64 x 460^2 -> 224^2 (limit: to float and one grid_sample)", "ms")
    table.claims = [Claim("fastai", "ours", at_least=5)]
    if rivals.available():
        pipeline = rivals.batch_transform()
        cases.append(Case("fastai", partial(_run, pipeline, batch.images)))
    else:
        table.notes.append(rivals.MISSING)
    seconds = interleave(cases, settings.repeats)
    table.measures = {name: [1000 * value for value in values] for name, values in seconds.items()}
    yield table


def _run(function: Callable[[T], object], argument: T) -> None:
    function(argument)


def _grid_sample_only(images: Tensor) -> Tensor:
    turn = torch.tensor([[0.9, 0.1, 0.0], [-0.1, 0.9, 0.0]]).repeat(len(images), 1, 1)
    grid = F.affine_grid(turn, [len(images), 3, rivals.SIZE, rivals.SIZE], align_corners=False)
    return F.grid_sample(images.float(), grid, padding_mode="reflection", align_corners=False)
