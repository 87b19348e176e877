"""What a run changes outside its own objects is put back after it: a sweep runs many in one process."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

VARIABLES = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS", "CUBLAS_WORKSPACE_CONFIG")
"""What Lightning sets in the environment for seeds and determinism."""


@contextmanager
def isolated() -> Iterator[None]:
    """Restore torch's global switches, the environment and the warning filters."""
    deterministic = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn
    switches = cudnn.benchmark, cudnn.deterministic
    matmul, threads = torch.get_float32_matmul_precision(), torch.get_num_threads()
    variables = {name: os.environ.get(name) for name in VARIABLES}
    try:
        with warnings.catch_warnings():
            yield
    finally:
        torch.use_deterministic_algorithms(deterministic[0], warn_only=deterministic[1])
        cudnn.benchmark, cudnn.deterministic = switches
        torch.set_float32_matmul_precision(matmul)
        torch.set_num_threads(threads)
        for name, value in variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
