"""Data loaders: how many workers they have, and how samples become batches."""

import torch
from torch.utils.data import DataLoader

from pets import machine
from pets.data.dataset import ImageDataset, Sample, collate
from pets.data.sampler import SeededSampler
from pets.signals import leave_to_parent


def make_loader(
    dataset: ImageDataset,
    sampler: SeededSampler | None,
    batch_size: int,
    num_workers: int | None,
    processes: int = 1,
    drop_last: bool = False,
) -> DataLoader[Sample]:
    """Return a loader of batches on the CPU.

    Args:
        dataset: The samples.
        sampler: Their order; None: that of the data set.
        batch_size: Images a batch.
        num_workers: Worker processes; None: as many as there are cores for this process, at most `machine.MAX_WORKERS`.
        processes: Training processes on this machine, which share its cores and memory.
        drop_last: Whether to leave out a last batch that is not full.
    """
    wanted = machine.workers(processes) if num_workers is None else num_workers
    workers = machine.workers_with_room(wanted, batch_size * 3 * dataset.presize.size**2, processes)
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=torch.cuda.is_available(),
        drop_last=drop_last,
        persistent_workers=workers > 0,
        worker_init_fn=leave_to_parent,
    )
