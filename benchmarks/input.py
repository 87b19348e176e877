"""From files to uint8 squares with 2 workers, and on to augmented batches: images a second; and what a square costs."""

import math
import mmap
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks import ours, rivals
from benchmarks.harness import Case, Claim, Table, interleave, rates
from benchmarks.images import repeated
from benchmarks.settings import Settings
from pets.data.datamodule import ImageDataModule
from pets.data.images import open_image
from pets.data.presize import Presize
from pets.settings.data import CACHES, Cache

BATCH, REPEATED = 64, 3
OURS, FASTAI, LIMIT = "ours", "fastai", "limit"
VARIANTS: dict[str, tuple[Presize, Cache]] = {
    "crop (the default)": (Presize(), "none"),
    "crop, 460 bilinear (fastai's)": (Presize(rivals.PRESIZE, interpolation="bilinear"), "none"),
    "native": (Presize(method="native"), "none"),
    **{
        f"{method}, cache={kind}": (Presize(method=method), kind)
        for method in ("crop", "native")
        for kind in CACHES[1:]
    },
}
"""Presizing and cache of each row of the table of variants."""


def measure(settings: Settings) -> Iterator[Table]:
    """Yield the item pipeline, its variants, then loader and batch transform together."""
    root = repeated(settings.images, REPEATED, settings.out)
    files = sorted(root.glob("*.jpg"))
    module = ours.data_module(root, BATCH)
    items = len(module.train_dataloader()) * BATCH
    note = f"{items} images in batches of {BATCH} with {rivals.WORKERS} workers; fastai starts its workers every epoch"

    cases = [Case(OURS, ours.drain_items(module), items), Case(LIMIT, _drain_decoder(module.table.path, items), items)]
    claims = [Claim(OURS, FASTAI, at_least=4), Claim(OURS, LIMIT, at_least=0.6)]
    if rivals.available():
        cases.append(Case(FASTAI, rivals.drain_items(files, BATCH), items))
    yield _table("items", "File to uint8 square (limit: decode only)", cases, claims, note, settings)

    yield _stages(files[:BATCH], settings)

    modules = {name: ours.data_module(root, BATCH, *variant) for name, variant in VARIANTS.items()}
    cases = [Case(name, ours.drain_items(variant), items) for name, variant in modules.items()]
    yield _table("variants", "File to uint8 square by data.presize and data.cache", cases, [], note, settings)

    cases = [Case(OURS, ours.drain_batches(module), items), Case(LIMIT, _drain_bare(module), items)]
    claims = [Claim(OURS, FASTAI, at_least=5)]
    if rivals.available():
        cases.append(Case(FASTAI, rivals.drain_batches(files, BATCH), items))
    title = "File to augmented float batch (limit: our loader and one grid_sample)"
    yield _table("batches", title, cases, claims, note, settings)


def _table(name: str, title: str, cases: list[Case], claims: list[Claim], note: str, settings: Settings) -> Table:
    table = Table(name, title, "images/s", 0, claims=claims, notes=[note])
    table.measures = rates(cases, interleave(cases, settings.repeats))
    if not rivals.available():
        table.notes.append(rivals.MISSING)
    return table


def _stages(files: list[Path], settings: Settings) -> Table:
    """What a worker does to a batch, a stage a row, on one thread."""
    presize = Presize()
    decoded = [open_image(file) for file in files]
    squares = [presize.square(presize.resize(image), 0.5)[0] for image in decoded]
    shape = len(squares), *squares[0].shape
    reused = _shared(shape)

    stages: dict[str, Callable[[], object]] = {
        "decode": lambda: [open_image(file) for file in files],
        "presize": lambda: [presize.square(presize.resize(image), 0.5) for image in decoded],
        "stack into fresh shared memory": lambda: torch.stack(squares, out=_shared(shape)),
        "the same into shared memory used before": lambda: torch.stack(squares, out=reused),
    }
    table = Table("stages", "File to uint8 square: processor time of an image, by stage", "ms", 2)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        seconds = interleave([Case(name, partial(_cpu_seconds, run)) for name, run in stages.items()], settings.repeats)
    finally:
        torch.set_num_threads(threads)
    table.measures = {name: [1e3 * value / len(files) for value in values] for name, values in seconds.items()}
    return table


def _shared(shape: tuple[int, ...]) -> Tensor:
    return torch.frombuffer(mmap.mmap(-1, math.prod(shape)), dtype=torch.uint8).view(shape)


def _cpu_seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


class _Decoder(Dataset[Tensor]):
    """Decodes and forgets: what no item pipeline can undercut."""

    def __init__(self, path: Callable[[int], Path], items: int) -> None:
        self.path = path
        self.table = items

    def __len__(self) -> int:
        return self.table

    def __getitem__(self, index: int) -> Tensor:
        return open_image(self.path(index))[0, 0, 0]


def _drain_decoder(path: Callable[[int], Path], items: int) -> Callable[[], None]:
    loader = DataLoader(_Decoder(path, items), BATCH, num_workers=rivals.WORKERS, persistent_workers=True)

    def run() -> None:
        for _ in loader:
            pass

    return run


def _drain_bare(module: ImageDataModule) -> Callable[[], None]:
    loader = module.train_dataloader()
    grid = F.affine_grid(torch.eye(2, 3).repeat(BATCH, 1, 1), [BATCH, 3, rivals.SIZE, rivals.SIZE], align_corners=False)

    def run() -> None:
        for batch in loader:
            F.grid_sample(batch.images.float(), grid, padding_mode="reflection", align_corners=False)

    return run
