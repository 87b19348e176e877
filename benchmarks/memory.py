"""Memory of a fit, main process and workers together: its peak, and what 20 epochs add."""

from collections.abc import Iterator

from benchmarks import rivals
from benchmarks.harness import Claim, Table
from benchmarks.images import thinned
from benchmarks.processes import answer
from benchmarks.settings import Settings
from benchmarks.subjects import ARCH, BATCH, EPOCHS

FEW = 40


def measure(settings: Settings) -> Iterator[Table]:
    """Yield the peak, then the growth of the floor from epochs 4 to 10 to the last seven."""
    root = thinned(settings.images, FEW, settings.out)
    subjects = {"ours": "memory_ours"} | ({"fastai": "memory_fastai"} if rivals.available() else {})
    found = {name: answer(function, root, settings.out) for name, function in subjects.items()}
    what = f"{ARCH} frozen, batch {BATCH}, {EPOCHS} epochs on {FEW} images"
    peak = Table("memory_peak", f"Peak memory of main process and workers, {what}", "MB", 0)
    peak.measures = {name: [result["peak"]] for name, result in found.items()}
    peak.claims = [Claim("ours", "fastai", at_most=1.0)]
    growth = Table("memory_growth", f"Memory that {EPOCHS} epochs add, {what}", "%", 1)
    growth.measures = {name: [_growth(result["after_epoch"])] for name, result in found.items()}
    growth.claims = [Claim("ours", at_most=1.0)]
    for table in (peak, growth):
        table.notes += [] if rivals.available() else [rivals.MISSING]
        yield table


def _growth(after_epoch: list[float]) -> float:
    # Floors, because what the allocator holds for a moment comes and goes.
    return 100 * (min(after_epoch[-7:]) / min(after_epoch[3:10]) - 1)
