"""What a run changes in its process is put back, so that the next run in it is as if alone."""

import os
import warnings

import pytest
import torch
from lightning import Trainer, seed_everything

from pets.isolation import isolated


def switches() -> dict[str, object]:
    return {
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warn only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "benchmark": torch.backends.cudnn.benchmark,
        "matmul": torch.get_float32_matmul_precision(),
        "threads": torch.get_num_threads(),
        "seed": os.environ.get("PL_GLOBAL_SEED"),
        "cublas": os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
        "filters": list(warnings.filters),
        "show": warnings.showwarning,
    }


def change_everything() -> None:
    Trainer(accelerator="cpu", deterministic="warn", logger=False, enable_checkpointing=False)
    torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark
    seed_everything(7, workers=True, verbose=False)
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
