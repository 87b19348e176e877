"""Features: what a body makes of images as in evaluation, computed once and kept as `data.features` says."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import PIL
import torch
import torch.distributed as dist
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pets import console
from pets.augment.batch import BatchTransform
from pets.data.batch import Batch
from pets.data.cache.contents import content_digests, digest
from pets.data.cache.folder import believed, user_folder
from pets.data.cache.row_file import MemoryRows, RowFile, Rows
from pets.evaluation.predictions import Predictions, evaluating, gather, rank_of_world

if TYPE_CHECKING:
    from lightning.pytorch.plugins import Precision

    from pets.data.datamodule import ImageDataModule
    from pets.model.classifier import Classifier
    from pets.model.network import Network
    from pets.settings.parts import Part

FORMAT = 1
"""Of what is kept; another number is another file."""
CHUNK = 32
"""Images a forward pass, always: a shorter batch is filled up, so that no row depends on which others are missing."""

_in_memory: dict[str, MemoryRows] = {}
"""What `data.features=ram` keeps, by `FeatureStore.key`."""

log = logging.getLogger(__name__)


class Features(NamedTuple):
    """What the last layer of a network receives of n images."""

    values: Tensor
    """float32 (n, F), before dropout."""
    targets: Tensor
    """int64 (n,) class indices."""
    rows: Tensor
    """int64 (n,) ascending indices into the image table."""


class FeatureStore:
    """The features of a data module's images by the body of a network as it is when they are asked for.

    What is kept, for each image, is the pooled feature map; the layers between pooling and the last one are applied to
    what was kept. It is found again by the photograph's bytes, the body and its weights, how the image is presized and
    resized, the precision, the pooling, the releases and the processor that computed it. Under several processes each
    computes a share and all return everything.

    Args:
        network: On the device to use; left in the mode in which it came.
        data: The images; its `features` says where rows are kept, its `cache` may hold the decoded images.
        precision: Lightning's plugin in whose context the body computes; None: float32.
    """

    def __init__(self, network: Network, data: ImageDataModule, precision: Precision | None = None) -> None:
        self.network = network
        self.data = data
        self.precision = precision

    def features(self, part: Part) -> Features:
        """Return what the last layer receives of the images of one part, in the order of the image table, on the CPU.

        Raises:
            SampleError: An image cannot be loaded.
            ValueError: The part is empty, or the folder of the kept rows cannot be used.
        """
        rows = np.sort(self.data.table.indices(part))
        targets = torch.from_numpy(self.data.table.targets[rows])
        return Features(self.of(rows), targets, torch.from_numpy(rows))

    @torch.no_grad()
    def of(self, rows: np.ndarray) -> Tensor:
        """Return what the last layer receives of some images, float32 (n, F), on the CPU.

        Args:
            rows: int64 (n,) indices into the image table.

        Raises:
            As in `features`.
        """
        with evaluating(self.network):
            pooled = torch.from_numpy(self._pooled(rows))
            values: Tensor = self.network.head[1:-1](pooled.to(self._device))
        return values.float().cpu()

    @property
    def key(self) -> str:
        """What names the rows: all that decides them but the photographs."""
        backbone = self.network.backbone
        weights = [(name, tensor.cpu().numpy()) for name, tensor in sorted(backbone.state_dict().items())]
        settings = (
            FORMAT, backbone.arch, backbone.library, backbone.n_features,
            [(name, array.shape) for name, array in weights],
            self.network.mean.flatten().tolist(), self.network.std.flatten().tolist(),
            type(self.network.head[0]).__qualname__, asdict(self.data.presize), self.data.batch_transform.size,
            "32-true" if self.precision is None else self.precision.precision, _processor(self._device),
            torch.__version__, version("torchvision"), version(backbone.library), PIL.__version__,
        )  # fmt: skip
        content = digest(*(array for _, array in weights)).tobytes()
        return hashlib.blake2b(repr(settings).encode() + content, digest_size=16).hexdigest()

    @property
    def _device(self) -> torch.device:
        return next(self.network.parameters()).device

    def _pooled(self, rows: np.ndarray) -> np.ndarray:
        """Return float32 (n, width): the rows that are kept, and those that had to be computed."""
        started, is_first = time.perf_counter(), rank_of_world()[0] == 0
        with ExitStack() as held:
            # The first process knows what is kept; all compute their shares of what is not.
            kept = self._look_up(rows, held) if is_first else None
            pooled: np.ndarray
            found: np.ndarray
            pooled, found = _from_first(None if kept is None else (kept.pooled, kept.found))
            missing = np.flatnonzero(~found)
            for places, computed in self._compute(rows, missing):
                pooled[places] = computed
                if kept is not None:
                    kept.store.append(kept.keys[places], computed)
        if is_first:
            how = f"{len(missing):,} computed in {time.perf_counter() - started:.1f} s" if len(missing) else "reused"
            log.info("features: %s images, %s MB, %s", f"{len(rows):,}", f"{pooled.nbytes / 1e6:,.0f}", how)
        return pooled

    def _look_up(self, rows: np.ndarray, held: ExitStack) -> _Kept:
        """Return what is kept of some images; `held` keeps the turn of who computes what is missing."""
        kind, table, width = self.data.features, self.data.table, self._width()
        if kind == "none" or not self._is_known_transform():
            store: Rows = MemoryRows(width)
            keys = rows.astype(np.int64)[:, None].view(np.uint8)
        elif kind == "ram":
            store = _in_memory.setdefault(self.key, MemoryRows(width))
            keys = content_digests(table, None)[rows]
        else:
            folder = user_folder("features", "data.features")
            held.enter_context(believed(folder, "data.features"))
            store = RowFile(folder / f"{self.key}.bin", width)
            keys = content_digests(table, folder)[rows]
        pooled, found = store.read(keys)
        if not found.all():
            held.enter_context(store.turn())
            pooled, found = store.read(keys)  # another run may have computed them in the meantime
        return _Kept(store, keys, pooled, found)

    def _is_known_transform(self) -> bool:
        """Tell whether the size alone says how images are resized; of a class of the user's own nothing is kept."""
        return getattr(type(self.data.batch_transform), "evaluate", None) is BatchTransform.evaluate

    def _width(self) -> int:
        """Return how many numbers the pooling makes of an image."""
        one_pixel = torch.zeros(1, self.network.backbone.n_features, 1, 1, device=self._device)
        return int(self.network.head[0](one_pixel).shape[1])

    def _compute(self, rows: np.ndarray, missing: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (places, float32 (k, width)) until all missing places of `rows` are computed, by all processes."""
        if not len(missing):
            return
        rank, world_size = rank_of_world()
        mine = missing[rank::world_size]
        loader = self.data.rows(rows[mine], CHUNK)
        batches = iter(loader)
        steps = -(-len(missing[::world_size]) // CHUNK)  # of the first process, which has the most
        with console.progress("computing features", len(missing), None if rank == 0 else False) as bar:
            for step in range(steps):
                places = mine[step * CHUNK : (step + 1) * CHUNK]
                pooled = self._forward(next(batches)) if len(places) else torch.empty(0, self._width())
                at, computed = (column.numpy() for column in gather([torch.from_numpy(places), pooled]))
                yield at, computed
                bar.advance(len(at))

    def _forward(self, raw: Batch) -> Tensor:
        """Return the pooled feature maps, float32 (k, width) on the CPU, of a batch of at most `CHUNK` images."""
        batch = Batch(*(tensor.to(self._device) for tensor in raw))
        images = self.data.batch_transform.evaluate(batch).images
        filled = F.pad(images, (0, 0, 0, 0, 0, 0, 0, CHUNK - len(images)))
        with nullcontext() if self.precision is None else self.precision.forward_context():
            pooled: Tensor = self.network.head[0](self.network.feature_map(filled))
        return pooled[: len(images)].float().cpu()


@torch.no_grad()
def from_features(classifier: Classifier, features: Features, files: NDArray[np.str_]) -> Predictions:
    """Return what a classifier predicts from the features of its own last layer, as `infer` does from images.

    Args:
        classifier: Its last layer is applied.
        features: What a `FeatureStore` of the classifier gave.
        files: The paths of the image table.
    """
    device = next(classifier.parameters()).device
    logits, targets = classifier.head[-1](features.values.to(device)).float(), features.targets.to(device)
    losses = classifier.loss(logits, targets, reduction="none")
    return Predictions(
        classifier.loss.probabilities(logits).cpu().numpy(), features.targets.numpy(), losses.cpu().numpy(),
        files[features.rows.numpy()], tuple(classifier.classes),
    )  # fmt: skip


class _Kept(NamedTuple):
    """What is kept of n images: where, under which keys, their rows, and which of them there are."""

    store: Rows
    keys: np.ndarray
    pooled: np.ndarray
    found: np.ndarray


def _processor(device: torch.device) -> tuple[str, str]:
    """Return what decides the last bits of a result."""
    is_cuda = device.type == "cuda"
    return device.type, torch.cuda.get_device_name(device) if is_cuda else torch.backends.cpu.get_cpu_capability()


def _from_first(value: Any) -> Any:
    """Return in every process what the first one gives."""
    shared = [value]
    if rank_of_world()[1] > 1:
        dist.broadcast_object_list(shared, src=0)
    return shared[0]
