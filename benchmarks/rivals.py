"""fastai's side of every comparison, set up as the book's chapter 5 does. fastai is imported only when asked for.

fastai 2.8.12 imports, fits and finds learning rates under torch 2.14 without a workaround.
"""

import importlib.util
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

MISSING = "fastai is not installed (pip install '.[bench]'): its side is left out"
PRESIZE, SIZE, MIN_SCALE, WORKERS = 460, 224, 0.75, 2


def available() -> bool:
    """Whether fastai can be imported."""
    return importlib.util.find_spec("fastai") is not None


def vision() -> Any:
    """Return `fastai.vision.all`, imported without the notices of the libraries under it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import fastai.vision.all as fastai
    return fastai


def breed(path: Path) -> str:
    """The label of `<breed>_<number>.jpg`."""
    return path.name.rpartition("_")[0]


def dataloaders(
    files: Sequence[Path],
    batch_size: int,
    *,
    augment: bool,
    valid_pct: float = 0.0,
    num_workers: int = WORKERS,
    device: str = "cpu",
) -> Any:
    """Return the chapter's DataLoaders on `files`: Resize(460) per item and, with `augment`, its batch transforms."""
    fastai = vision()
    block = fastai.DataBlock(
        blocks=(fastai.ImageBlock, fastai.CategoryBlock),
        get_items=lambda source: list(source),
        splitter=fastai.RandomSplitter(valid_pct, seed=42),
        get_y=breed,
        item_tfms=fastai.Resize(PRESIZE),
        batch_tfms=fastai.aug_transforms(size=SIZE, min_scale=MIN_SCALE) if augment else None,
    )
    return block.dataloaders(files, bs=batch_size, num_workers=num_workers, device=torch.device(device))


def drain_items(files: Sequence[Path], batch_size: int) -> Callable[[], None]:
    """Return a pass over uint8 squares in batches: decode, crop, Resize(460), collate. No batch transform."""
    loader = dataloaders(files, batch_size, augment=False).train
    loader.after_batch = lambda batch: batch

    def run() -> None:
        for images, _ in loader:
            assert images.dtype == torch.uint8

    return run


def drain_batches(files: Sequence[Path], batch_size: int) -> Callable[[], None]:
    """Return a pass over augmented float batches."""
    loader = dataloaders(files, batch_size, augment=True).train

    def run() -> None:
        for images, _ in loader:
            assert images.shape[-1] == SIZE

    return run


def batch_transform() -> Callable[[Tensor], Tensor]:
    """Return uint8 (B, 3, 460, 460) -> float32 (B, 3, 224, 224) in [0, 1] by aug_transforms, not normalised."""
    fastai = vision()
    transforms = [fastai.IntToFloatTensor(), *fastai.aug_transforms(size=SIZE, min_scale=MIN_SCALE)]
    pipeline = fastai.Pipeline(transforms, split_idx=0)
    return lambda images: pipeline(fastai.TensorImage(images))


def learner(
    arch: str, batches: Sequence[tuple[Tensor, Tensor]], n_classes: int, *, frozen: bool, device: str = "cpu"
) -> Any:
    """Return a vision_learner without pretrained weights that trains on ready-made batches."""
    fastai = vision()
    # A list of batches is a dataset whose items need no collation when bs is None.
    loader = fastai.DataLoader(list(batches), bs=None, device=torch.device(device))
    loaders = fastai.DataLoaders(loader, loader, device=torch.device(device))
    learn = fastai.vision_learner(
        loaders,
        getattr(fastai, arch),
        n_out=n_classes,
        pretrained=False,
        normalize=False,
        loss_func=fastai.CrossEntropyLossFlat(),
    )
    if frozen:
        learn.freeze()
    return silent(learn)


def photo_learner(files: Sequence[Path], arch: str, batch_size: int, **options: Any) -> Any:
    """Return the chapter's learner on photographs, without pretrained weights, its body frozen; see `dataloaders`."""
    fastai = vision()
    loaders = dataloaders(files, batch_size, augment=True, valid_pct=0.2, **options)
    learn = fastai.vision_learner(loaders, getattr(fastai, arch), metrics=fastai.error_rate, pretrained=False)
    learn.freeze()
    return silent(learn)


def range_test(learn: Any, steps: int) -> None:
    """Run lr_find without its plot."""
    learn.lr_find(num_it=steps, show_plot=False)


def predict_files(files: Sequence[Path], arch: str, batch_size: int) -> Callable[[], None]:
    """Return a prediction of all files by get_preds."""
    learn = photo_learner(files, arch, batch_size)

    def run() -> None:
        learn.get_preds(dl=learn.dls.test_dl(list(files), num_workers=WORKERS))

    return run


def silent(learn: Any) -> Any:
    """Return a learner that prints nothing."""
    fastai = vision()
    learn.remove_cb(fastai.ProgressCallback)
    learn.logger = fastai.noop
    return learn


def step_seconds(learn: Any, lr: float = 1e-3) -> list[float]:
    """Train one epoch and return the seconds of each step: forward, loss, backward, optimizer; no loading."""
    fastai = vision()

    class Clock(fastai.Callback):  # type: ignore[name-defined, misc]
        order = 100

        def before_fit(self) -> None:
            self.seconds: list[float] = []

        def before_batch(self) -> None:
            self.start = time.perf_counter()

        def after_batch(self) -> None:
            self.seconds.append(time.perf_counter() - self.start)

        def before_validate(self) -> None:
            raise fastai.CancelValidException

    clock = Clock()
    learn.fit(1, lr, cbs=clock)
    return clock.seconds


def train_until(learn: Any, step_ended: Callable[[], bool], lr: float = 1e-3) -> None:
    """Train until `step_ended`, which is called after every step, is true; do not validate."""
    fastai = vision()

    class Watch(fastai.Callback):  # type: ignore[name-defined, misc]
        order = 100

        def after_batch(self) -> None:
            if step_ended():
                raise fastai.CancelFitException

    learn.fit(1, lr, cbs=Watch())
