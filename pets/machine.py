"""The machine: cores to share, the precision that `auto` stands for, and what a run changes and puts back."""

import ctypes
import gc
import logging
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_WORKERS = 8
"""Workers of a loader when `data.num_workers` is null."""
NATIVE_BF16 = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
"""CPU capabilities, as torch names them, that multiply bfloat16 in hardware."""
VARIABLES = (
    "PL_GLOBAL_SEED", "PL_SEED_WORKERS", "CUBLAS_WORKSPACE_CONFIG", "MASTER_ADDR", "MASTER_PORT", "NODE_RANK",
    "LOCAL_RANK", "WORLD_SIZE",
)  # fmt: skip
"""What Lightning sets in the environment for seeds, determinism and the processes of a run."""
LOGGERS = ("lightning", "lightning.pytorch", "lightning.pytorch.profilers")
"""Lightning's, which a run changes."""
SHARED_MEMORY = Path("/dev/shm")
"""Where loader workers leave their batches; containers often have 64 MB of it."""
FETCHED_AHEAD = 2
"""Batches that a worker prepares before they are asked for."""

log = logging.getLogger("pets")

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
"""Parameters of glibc's mallopt, as malloc.h numbers them."""
KEEP_ALL = -1
"""Bytes free at the end of the heap above which they go back to the system: never."""
HEAP_STEP = 1 << 28
"""Bytes by which the heap grows beyond what was asked for; they cost nothing until they are written."""
LARGEST_BLOCKS = (1 << 31) - 1, 1 << 25
"""Bytes up to which a block comes from the heap: all that mallopt's int can say, or what glibc before 2.35 allows."""


def sleep_while_waiting() -> None:
    """Let OpenMP's threads sleep while they wait for work, unless the environment says otherwise.

    By default they spin for a while, on cores that the loader's workers or other programs need: on two busy cores an
    epoch takes several times as long. To be called before torch is imported; processes that are started inherit it.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def keep_freed_memory() -> None:
    """Let glibc keep the memory of a tensor that is gone for the next one, in this process and those it forks.

    By default it maps every large block anew and unmaps it when it is free, so that each tensor of each step is paid
    for in page faults, zeroed 4 KB at a time: a third to a half of the processor time of a step on the CPU. To be
    called before the first tensor; `return_freed_memory` gives the heap back. Does nothing with another C library
    (macOS, musl), or where the environment already says how malloc is to work (MALLOC_..., GLIBC_TUNABLES).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None or any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return
    for largest in LARGEST_BLOCKS:
        if mallopt(M_MMAP_THRESHOLD, largest):
            break
    mallopt(M_TRIM_THRESHOLD, KEEP_ALL)
    mallopt(M_TOP_PAD, HEAP_STEP)


def return_freed_memory() -> None:
    """Give the system what `keep_freed_memory` kept, once nothing holds the model and its batches any more."""
    gc.collect()  # a Trainer and its parts refer to one another
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def available_cores() -> int:
    """Return the number of cores this process may use, which a scheduler may have made smaller than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers(processes: int) -> int:
    """Return how many loader workers each of `processes` training processes on this machine gets."""
    return min(MAX_WORKERS, max(1, available_cores() // processes))


def workers_with_room(wanted: int, batch_bytes: int, processes: int = 1) -> int:
    """Return how many of `wanted` loader workers have room for their batches; warn if that is fewer.

    Args:
        wanted: Workers of a loader; 0 for none, which needs no room.
        batch_bytes: Largest size of a batch.
        processes: Training processes of this machine, which share the room.
    """
    if wanted == 0 or not SHARED_MEMORY.is_dir():
        return wanted
    free = shutil.disk_usage(SHARED_MEMORY).free // processes
    # The loader holds the batch in use and the one before it beside those of the workers.
    fitting = max(0, free // batch_bytes - 2) // FETCHED_AHEAD
    if fitting >= wanted:
        return wanted
    warnings.warn(
        f"{SHARED_MEMORY} has room for {fitting} of {wanted} loader workers: {free / 1e6:,.0f} MB are free, a batch "
        f"takes {batch_bytes / 1e6:,.0f} MB; docker run --shm-size=2g gives more, or set data.num_workers={fitting}",
        stacklevel=2,
    )
    return fitting


def on_cpu(accelerator: str) -> bool:
    """Whether a Trainer with this `accelerator` would train on the CPU."""
    import torch

    return accelerator == "cpu" or (accelerator == "auto" and not torch.accelerator.is_available())


def resolve_precision(precision: str, accelerator: str) -> str:
    """Return the precision that `auto` stands for by the hardware alone, and any other unchanged.

    `auto` is bf16-mixed where products of bfloat16 are native (CUDA from Ampere on, CPUs with avx512_bf16 or AMX), else
    32-true: emulated bfloat16 is slower than float32, and float16 needs a loss scale that a short run may not find.
    """
    if precision != "auto":
        return precision
    import torch

    if on_cpu(accelerator):
        capabilities = torch.cpu.get_capabilities()
        native = any(capabilities.get(name, False) for name in NATIVE_BF16)
    else:
        native = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16-mixed" if native else "32-true"


@contextmanager
def isolated() -> Iterator[None]:
    """Restore torch's switches, environment, warning filters, loggers and free memory: a sweep has many runs in one."""
    import torch

    deterministic = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn
    switches = cudnn.benchmark, cudnn.deterministic
    matmul, threads = torch.get_float32_matmul_precision(), torch.get_num_threads()
    loggers = [(logger, logger.level, logger.handlers, logger.propagate) for logger in map(logging.getLogger, LOGGERS)]
    variables = {name: os.environ.get(name) for name in VARIABLES}
    try:
        with warnings.catch_warnings():
            yield
    finally:
        torch.use_deterministic_algorithms(deterministic[0], warn_only=deterministic[1])
        cudnn.benchmark, cudnn.deterministic = switches
        torch.set_float32_matmul_precision(matmul)
        torch.set_num_threads(threads)
        for logger, level, handlers, propagate in loggers:
            logger.setLevel(level)
            logger.handlers, logger.propagate = handlers, propagate
        for name, value in variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        return_freed_memory()


def quiet_lightning() -> None:
    """Keep Lightning's news of devices and services off the console; warnings stay, as one line each.

    To be called in `isolated`, which puts all of it back.
    """
    warnings.showwarning = lambda message, *_: log.warning("warning: %s", " ".join(str(message).split()))
    for name in LOGGERS:  # its own handlers would say everything a second time
        logging.getLogger(name).handlers, logging.getLogger(name).propagate = [], True
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)  # a profile that was asked for
    # Lightning 2.6.6 calls what torch 2.14 deprecates; nothing a user could do about it.
    warnings.filterwarnings("ignore", "`isinstance.treespec, LeafSpec.` is deprecated", FutureWarning)
    # The numbers of workers and of logged steps are chosen in conf/, for small sets too.
    warnings.filterwarnings("ignore", ".*does not have many workers", UserWarning)
    # The samplers are the data module's own; Lightning takes them for shuffled ones.
    warnings.filterwarnings("ignore", "You requested to overfit but enabled", UserWarning)
    # It can: the sampler leaves out the images that had their turn.
    warnings.filterwarnings("ignore", "You're resuming from a checkpoint that ended before", UserWarning)
    # Where SLURM is installed, training at the prompt is no mistake.
    warnings.filterwarnings("ignore", "The `srun` command is available", UserWarning)
    warnings.filterwarnings("ignore", "(?s)Checkpoint directory .* exists and is not empty", UserWarning)
    # Of the CSV logger, which announces to remove a table; pets.records has renamed that of a resumed run.
    warnings.filterwarnings("ignore", "Experiment logs directory .* exists and is not empty", UserWarning)
    warnings.filterwarnings("ignore", "The number of training batches .* is smaller than the logging", UserWarning)
