"""The measuring functions of the GPU benchmark run on any device: here on the CPU, with a tiny network."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from benchmarks import gpu, rivals
from benchmarks.device import Scale, Stopwatch, Variant
from benchmarks.images import ImageSet
from benchmarks.report import markdown
from benchmarks.settings import Settings
from pets.data.presize import Presize

TINY = Scale(device="cpu", batch=4, size=32, presize=Presize(40), workers=0, warm_up=1, steps=2)
PLAIN = Variant(precision="32-true", compile=False)


@pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`")
def test_the_tables_of_an_architecture(tiny_pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivals, "available", lambda: False)
    variants = {"plain": PLAIN, "bfloat16": replace(PLAIN, precision="bf16-mixed")}
    rates, share = gpu.tables("test_resnet", tiny_pets, TINY, 2, variants, library="timm")
    assert list(rates.measures) == [
        "synthetic, plain", "synthetic, bfloat16", "pipeline, cache none, plain", "pipeline, cache ram, plain"
    ]  # fmt: skip
    assert all(len(values) == 2 and min(values) > 0 for values in rates.measures.values())
    assert all(claim.values(rates.measures) for claim in rates.claims)
    assert all(0 < value < 1 for values in share.measures.values() for value in values)
    assert rivals.MISSING in rates.notes


def test_one_variant_is_what_conf_ships(tiny_config: Callable[..., DictConfig]) -> None:
    cfg = tiny_config("trainer=gpu")
    assert not cfg.trainer.deterministic
    assert (cfg.trainer.precision, gpu.SHIPPED.precision) == ("auto", "bf16-mixed")
    assert (cfg.model.compile, cfg.optimizer.fused) == (gpu.SHIPPED.compile, gpu.SHIPPED.fused)
    assert gpu.SHIPPED in gpu.VARIANTS.values()


def test_the_clock_starts_after_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([10.0, 17.0])
    monkeypatch.setattr("benchmarks.device.time.perf_counter", lambda: next(ticks))
    stopwatch = Stopwatch(replace(TINY, warm_up=2, steps=3))
    assert [stopwatch.step_ended() for _ in range(5)] == [False] * 4 + [True]
    assert stopwatch.seconds == 7.0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device: the benchmark would run")
def test_without_a_gpu_the_part_says_so(tiny_pets: Path, tmp_path: Path) -> None:
    settings = Settings(ImageSet(tuple(sorted(tiny_pets.glob("*.jpg"))), "tiny"), 1, tmp_path)
    (table,) = gpu.measure(settings)
    assert not table.measures
    assert "no CUDA device here" in markdown(table)
