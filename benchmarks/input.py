"""From files to uint8 squares with 2 workers, and on to augmented batches: images a second."""

from collections.abc import Callable, Iterator
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
