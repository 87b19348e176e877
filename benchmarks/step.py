"""One training step, batch 16 at 224^2, on ready-made batches: fastai, Lightning with our classifier, a bare loop.

fastai's own bfloat16 (`to_bf16`) is CUDA's autocast and does nothing on a CPU: both precisions are held to its float32.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import lightning
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import ours, rivals
from benchmarks.harness import Case, Claim, Table, interleave
from benchmarks.settings import Settings
from pets.machine import resolve_precision

BATCH, CLASSES, STEPS = 16, 37, 4
MATRIX = 2048
"""Rows and columns of the matrices whose product shows what the cores can do."""
Batches = Sequence[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Variant:
    """How a step is computed."""

    arch: str
    frozen: bool
    bf16: bool = False
    frozen_bn: str = "always"


def measure(settings: Settings) -> Iterator[Table]:
    """Yield one table an architecture and state of the body."""
    batches = [(torch.rand(BATCH, 3, 224, 224), torch.randint(CLASSES, (BATCH,))) for _ in range(STEPS)]
    for arch in ("resnet18", "resnet34"):
        for frozen, targets in ((True, (0.45, 0.25)), (False, (0.9, 0.55))):
            yield _table(arch, frozen, targets, batches, settings.repeats)
    yield _arithmetic(batches[0], settings.repeats)


def _arithmetic(batch: tuple[Tensor, Tensor], repeats: int) -> Table:
    """How near a step, of which convolutions and the head count, comes to the product of two large matrices."""
    model = torchvision.models.resnet18(weights=None).eval().to(memory_format=torch.channels_last)
    images, targets = batch[0].to(memory_format=torch.channels_last), batch[1]
    left, right = torch.rand(2, MATRIX, MATRIX)

    def step() -> None:
        F.cross_entropy(model(images), targets).backward()  # type: ignore[no-untyped-call]

    runs: dict[str, Callable[[], object]] = {"forward and backward, resnet18": step, "matrices": lambda: left @ right}
    table = Table("arithmetic", "float32 arithmetic by processor time", "GFLOP/s of a core", 0)
    for name, seconds in interleave(
        [Case(name, partial(_cpu_seconds, run)) for name, run in runs.items()], repeats
    ).items():
        with FlopCounterMode(display=False) as counter:
            runs[name]()
        table.measures[name] = [counter.get_total_flops() / 1e9 / value for value in seconds]
    return table


def _cpu_seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def _table(arch: str, frozen: bool, targets: tuple[float, float], batches: Batches, repeats: int) -> Table:
    state = "frozen" if frozen else "unfrozen"
    table = Table(f"step_{arch}_{state}", f"Training step, {arch} {state}, batch {BATCH}", "s", 3)
    runs = {"ours, fastai's frozen_bn=train": _ours(Variant(arch, frozen, frozen_bn="train"), batches)}
    for name, bf16, target in (("float32", False, targets[0]), ("bfloat16", True, targets[1])):
        if bf16 and resolve_precision("auto", "cpu") != "bf16-mixed":
            table.notes.append("bfloat16 is left out: this CPU does not multiply it natively")
            continue
        fast = Variant(arch, frozen, bf16)
        runs |= {f"ours, {name}": _ours(fast, batches), f"bare loop, {name}": _bare(fast, batches)}
        table.claims = [*table.claims, Claim(f"ours, {name}", "fastai", at_most=target)]
    if rivals.available():
        learn = rivals.learner(arch, batches, CLASSES, frozen=frozen)
        runs["fastai"] = lambda: rivals.step_seconds(learn)
    else:
        table.notes.append(rivals.MISSING)
    # The first step of a fit also makes optimizer state and primes the allocator.
    cases = [Case(name, partial(_median_step, run)) for name, run in runs.items()]
    table.measures = interleave(cases, repeats)
    return table


def _median_step(run: Callable[[], list[float]]) -> float:
    return statistics.median(run()[1:])


class _Clock(lightning.Callback):
    """Seconds from the start of a step's forward pass to the end of its update."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_batch_start(self, *_: object) -> None:
        self.start = time.perf_counter()

    def on_train_batch_end(self, *_: object) -> None:
        self.seconds.append(time.perf_counter() - self.start)


def _ours(variant: Variant, batches: Batches) -> Callable[[], list[float]]:
    module = ours.classifier(variant.arch, CLASSES, frozen_bn=variant.frozen_bn)
    module.freeze_to("head" if variant.frozen else "early")
    loader = ours.batch_loader(batches)

    def run() -> list[float]:
        clock = _Clock()
        ours.quiet_trainer("bf16-mixed" if variant.bf16 else "32-true", [clock]).fit(module, loader)
        return clock.seconds

    return run


def _bare(variant: Variant, batches: Batches) -> Callable[[], list[float]]:
    """The least that a step can be: no gradient in a frozen body, whose norms stay as they are."""
    body = nn.Sequential(*list(getattr(torchvision.models, variant.arch)().children())[:-1], nn.Flatten())
    head = nn.Linear(512, CLASSES)
    model = nn.Sequential(body, head).to(memory_format=torch.channels_last)
    if variant.frozen:
        body.requires_grad_(False).eval()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])

    def step(images: Tensor, targets: Tensor) -> None:
        images = images.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16) if variant.bf16 else nullcontext():
            loss = F.cross_entropy(model(images).float(), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()

    def run() -> list[float]:
        seconds = []
        for images, targets in batches:
            start = time.perf_counter()
            step(images, targets)
            seconds.append(time.perf_counter() - start)
        return seconds

    return run
