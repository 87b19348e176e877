"""What `auto` stands for on machines of every kind, and that a run puts back what it changes in its process."""

import ctypes
import os
import platform
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning import Trainer, seed_everything

from pets import machine
from pets.machine import (
    isolated,
    keep_freed_memory,
    on_cpu,
    resolve_precision,
    return_freed_memory,
    workers_with_room,
)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_what_was_asked_for_is_kept(precision: str) -> None:
    assert resolve_precision(precision, "cpu") == precision


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True}, "bf16-mixed"),
        ({"amx_bf16": True}, "bf16-mixed"),
        ({"avx2": True, "avx512_bf16": False}, "32-true"),
        ({}, "32-true"),
    ],
)
def test_auto_is_bfloat16_on_cpus_that_multiply_it(
    capabilities: dict[str, bool], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert resolve_precision("auto", "cpu") == expected


@pytest.mark.parametrize(("native", "expected"), [(True, "bf16-mixed"), (False, "32-true")])
def test_auto_is_bfloat16_on_gpus_that_do_not_emulate_it(
    native: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native or including_emulation)
    assert resolve_precision("auto", "gpu") == expected


def test_auto_accelerator_is_the_cpu_where_there_is_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    assert on_cpu("auto")
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    assert not on_cpu("auto")
    assert not on_cpu("gpu")


def test_workers_have_room_for_their_batches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100))
    assert workers_with_room(4, 10) == 4
    for batch, processes, fitting in ((11, 1, 3), (10, 2, 1), (24, 1, 1), (60, 1, 0)):
        with pytest.warns(UserWarning, match=rf"room for {fitting} of 4 loader workers: .* --shm-size"):
            assert workers_with_room(4, batch, processes) == fitting
    assert workers_with_room(0, 1000) == 0
    monkeypatch.setattr(machine, "SHARED_MEMORY", tmp_path / "none")
    assert workers_with_room(4, 1000) == 4


def switches() -> dict[str, object]:
    return {
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warn only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "benchmark": torch.backends.cudnn.benchmark,
        "matmul": torch.get_float32_matmul_precision(),
        "threads": torch.get_num_threads(),
        "seed": os.environ.get("PL_GLOBAL_SEED"),
        "cublas": os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
        "port": os.environ.get("MASTER_PORT"),
        "filters": list(warnings.filters),
        "show": warnings.showwarning,
    }


def change_everything() -> None:
    Trainer(accelerator="cpu", deterministic="warn", logger=False, enable_checkpointing=False)
    torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark
    seed_everything(7, workers=True, verbose=False)
    os.environ["MASTER_PORT"] = "1"  # as Lightning's launchers do; the next run in this process is to find its own
    torch.set_float32_matmul_precision("medium")
    torch.set_num_threads(2)
    warnings.simplefilter("ignore")


@pytest.mark.parametrize("error", [None, ValueError])
def test_global_switches_are_put_back(error: type[Exception] | None) -> None:
    before = switches()
    try:
        with isolated():
            change_everything()
            assert switches() != before
            if error:
                raise error
    except ValueError:
        pass
    assert switches() == before


REUSE = """
import mmap, resource, sys
from pets.machine import keep_freed_memory, return_freed_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * mmap.PAGESIZE >> 20

if sys.argv[1] == "keep":
    keep_freed_memory()
one, before = bytes([1]), resident()
one * (160 << 20)
kept = resident() - before
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    one * (128 << 20)
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
return_freed_memory()
print(faults * mmap.PAGESIZE >> 20, kept, resident() - before)
"""
"""Prints MB: faulted in by four blocks of 128 MB after one of 160, still resident after that one, and at the end."""


def reuse(how: str, **variables: str) -> list[int]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", REUSE, how], capture_output=True, text=True, check=True, env=environment | variables
    )
    return [int(word) for word in done.stdout.split()]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_a_large_block_takes_the_memory_of_a_larger_one_and_all_of_it_goes_back() -> None:
    faulted, kept, left = reuse("keep")
    assert faulted < 64
    assert kept >= 160
    assert left < 64
    assert reuse("leave")[0] >= 4 * 128  # what is saved


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_what_the_environment_says_of_malloc_stands() -> None:
    assert reuse("keep", MALLOC_TOP_PAD_="0")[0] >= 4 * 128


def test_a_c_library_without_mallopt_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    keep_freed_memory()
    return_freed_memory()


WAITING = "from pets.machine import sleep_while_waiting; sleep_while_waiting(); import torch; torch.ones(1)"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what GNU's OpenMP prints")
@pytest.mark.parametrize(("variables", "policy"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "active"}, "ACTIVE")])
def test_threads_sleep_while_they_wait_unless_the_environment_says_otherwise(
    variables: dict[str, str], policy: str
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", WAITING],
        capture_output=True, text=True, check=True, env=environment | {"OMP_DISPLAY_ENV": "TRUE"} | variables,
    )  # fmt: skip
    assert f"OMP_WAIT_POLICY = '{policy}'" in done.stderr
