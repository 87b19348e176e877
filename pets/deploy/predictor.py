"""Predictions for single images and for many.

Nothing but torch, torchvision, safetensors, NumPy, Pillow and pydantic is needed.
"""

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pets import machine
from pets.augment.batch import evaluate_images
from pets.data.images import open_image, pillow_pixels
from pets.data.presize import Presize
from pets.deploy.artifact import Artifact, read_artifact
from pets.errors import UserError
from pets.model.weights import first_line
from pets.settings.run import Predict

ImageLike = str | Path | bytes | Image.Image | NDArray[np.uint8]
"""A path, the bytes of a file, a Pillow image, or RGB pixels uint8 (H, W, 3)."""

MAX_THREADS = 8
IMAGE_ERRORS = (ValueError, TypeError, OSError, MemoryError)
"""What one bad image raises; it costs its own prediction only."""


def pixels(image: ImageLike) -> Tensor:
    """Return the pixels of an image, uint8 (3, H, W).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be decoded, or is an array of another shape or type.
        TypeError: It is none of the things that are taken for an image.
    """
    if isinstance(image, str | Path | bytes):
        return open_image(image)
    if isinstance(image, Image.Image):
        try:
            return pillow_pixels(image)
        except Exception as error:  # Pillow reads the file only now, and a broken one raises nearly anything
            name = getattr(image, "filename", "") or repr(image)
            raise UserError(f"{name}: cannot be decoded: {' '.join(str(error).split())}") from error
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise UserError(f"an array must be uint8 (H, W, 3), not {image.dtype} {image.shape}")
        return torch.from_numpy(np.array(image, order="C")).permute(2, 0, 1)
    raise TypeError(f"an image must be a path, bytes, a Pillow image or an array, not {type(image).__name__}")


def square(image: ImageLike, presize: Presize) -> tuple[Tensor, int]:
    """Return the centred square of an image on its canvas, uint8 (3, S, S), and its side; raises as `pixels`."""
    return presize(pixels(image))


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of one image."""

    label: str
    """The most probable class."""
    probability: float
    """Its probability, in [0, 1]."""
    accepted: bool
    """False if the image shows none of the classes: its probability is below the model's threshold, or it is so
    unlike the images of the classes that `familiarity` is below 0."""
    top: tuple[tuple[str, float], ...]
    """The most probable classes with their probabilities, the first one first."""
    probabilities: NDArray[np.float32]
    """float32 (C,), in the order of `Predictor.classes`."""
    familiarity: float | None = None
    """What the model's `UnknownDetector` says, in nats above its threshold; None: it has none."""

    def __str__(self) -> str:
        ranking = ", ".join(f"{label} {probability:.3f}" for label, probability in self.top)
        return ranking if self.accepted else f"none of the classes ({ranking})"


class Predictor:
    """A trained model that predicts images.

    Example:
        `predictor = Predictor.load("outputs/2026-01-31/12-00-00_fit")`, then `predictor("cat.jpg").label`.

    Attributes:
        classes: Names of the classes.
        threshold: Probability below which a prediction is not accepted, or None.
        detector: What tells images of none of the classes by their features, or None.
        origin: The checkpoint, or the exported folder.
    """

    def __init__(self, artifact: Artifact, *, device: str = "cpu", batch_size: int = 32, top_k: int = 5) -> None:
        """Use a network and its metadata; for the arguments see `load`."""
        Predict(top_k=top_k, batch_size=batch_size)
        try:
            self.device = torch.device(device)
            self.network = artifact.network.to(self.device)
            self.detector = None if artifact.detector is None else artifact.detector.to(self.device)
        except (RuntimeError, AssertionError) as error:  # torch's for an unknown and for an absent device
            raise UserError(f"predict.device={device!r}: {first_line(error)}") from error
        self.metadata = artifact.metadata
        self.classes = artifact.metadata.classes
        self.threshold = artifact.metadata.threshold
        self.origin = artifact.origin
        self.batch_size = batch_size
        self.top_k = top_k

    @classmethod
    def load(cls, path: str | Path, *, device: str = "cpu", batch_size: int = 32, top_k: int = 5) -> "Predictor":
        """Load a checkpoint, a run folder (its final checkpoint) or an exported folder; nothing in it is executed.

        Args:
            path: The file or folder.
            device: Where the network computes, as torch names it.
            batch_size: Images computed at once where there are several.
            top_k: Length of `Prediction.top`, if there are as many classes.

        Raises:
            FileNotFoundError: There is no such file or folder, or no model in it.
            ValueError: A file is damaged, or not one that this release writes; in one line.
        """
        return cls(read_artifact(path), device=device, batch_size=batch_size, top_k=top_k)

    @property
    def refuses(self) -> bool:
        """Whether it may say that an image shows none of the classes: it has a threshold or a detector."""
        return self.threshold is not None or self.detector is not None

    @overload
    def __call__(self, images: ImageLike) -> Prediction: ...  # type: ignore[overload-overlap]  # a str is a sequence too
    @overload
    def __call__(self, images: Sequence[ImageLike]) -> list[Prediction]: ...
    def __call__(self, images: ImageLike | Sequence[ImageLike]) -> Prediction | list[Prediction]:
        """Predict one image, or a list of images in their order.

        An image is a path, the bytes of a file, a Pillow image, or RGB pixels uint8 (H, W, 3).

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: An image cannot be decoded; names the file.
            TypeError: It is nothing that could be an image.
        """
        if not isinstance(images, list | tuple):
            return self._predict([square(images, self.metadata.presize)])[0]  # type: ignore[arg-type]
        predictions = []
        with closing(self.stream(images)) as results:
            for place, result in enumerate(results):
                if isinstance(result, Exception):
                    result.add_note(f"This was image {place} of {len(images)}.")
                    raise result
                predictions.append(result)
        return predictions

    def stream(self, images: Iterable[ImageLike]) -> Generator[Prediction | Exception, None, None]:
        """Predict images one after the other, in their order; an image that cannot be read yields its error.

        Threads decode the next images while the network computes; no more than three batches are held in memory.
        """
        waiting: deque[Future[tuple[Tensor, int]]] = deque()
        remaining = iter(images)
        pool = ThreadPoolExecutor(min(MAX_THREADS, machine.available_cores()), thread_name_prefix="decode")
        try:
            while True:
                for image in islice(remaining, 2 * self.batch_size - len(waiting)):
                    waiting.append(pool.submit(square, image, self.metadata.presize))
                if not waiting:
                    return
                batch = [waiting.popleft() for _ in range(min(self.batch_size, len(waiting)))]
                yield from self._finish(batch)
        finally:
            pool.shutdown(cancel_futures=True)

    def _finish(self, batch: list[Future[tuple[Tensor, int]]]) -> list[Prediction | Exception]:
        """Predict what could be decoded, and put the errors of the others in their places."""
        errors = [future.exception() for future in batch]
        squares = [future.result() for future, error in zip(batch, errors, strict=True) if error is None]
        predictions = iter(self._predict(squares))
        results: list[Prediction | Exception] = []
        for error in errors:
            if error is None:
                results.append(next(predictions))
            elif isinstance(error, IMAGE_ERRORS):
                results.append(error)
            else:
                raise error
        return results

    def _predict(self, squares: list[tuple[Tensor, int]]) -> list[Prediction]:
        if not squares:
            return []
        with torch.inference_mode():
            canvases = torch.stack([canvas for canvas, _ in squares]).to(self.device)
            sides = torch.tensor([float(side) for _, side in squares], device=self.device)
            features = self.network.features(evaluate_images(canvases, sides, self.metadata.size))
            probabilities = self.network.loss.probabilities(self.network.head[-1](features).float())
            familiarity = [None] * len(squares) if self.detector is None else self.detector(features).tolist()
            # Stable: of equal probabilities the first class wins, as in an evaluation.
            values, indices = (x[:, : self.top_k] for x in probabilities.sort(dim=1, descending=True, stable=True))
        rows = probabilities.cpu().numpy()
        if not np.isfinite(rows).all():
            raise UserError(f"{self.origin}: the model's outputs are not finite: its weights are spoiled")
        columns = rows, values.tolist(), indices.tolist(), familiarity
        return [self._prediction(*row) for row in zip(*columns, strict=True)]

    def _prediction(
        self, probabilities: NDArray[np.float32], values: list[float], indices: list[int], familiarity: float | None
    ) -> Prediction:
        top = tuple((self.classes[index], value) for index, value in zip(indices, values, strict=True))
        label, probability = top[0]
        is_sure = self.threshold is None or probability >= self.threshold
        is_familiar = familiarity is None or familiarity >= 0
        return Prediction(label, probability, is_sure and is_familiar, top, probabilities, familiarity)
