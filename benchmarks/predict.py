"""Predict a folder: images a second, beside decoding and the bare network alone."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from benchmarks import ours, rivals
from benchmarks.harness import Case, Claim, Table, interleave, rates
from benchmarks.settings import Settings
from pets.data.images import open_image
from pets.data.presize import Presize
from pets.deploy.artifact import Artifact
from pets.deploy.metadata import Metadata
from pets.deploy.predictor import Predictor
from pets.model.network import Network

ARCH, BATCH, CLASSES = "resnet18", 32, 37


def measure(settings: Settings) -> Iterator[Table]:
    """Yield the rate of `Predictor.stream` over the files."""
    files = settings.images.files
    network = ours.classifier(ARCH, CLASSES).eval()
    predictor = _predictor(network)
    n = len(files)
    cases = [
        Case("ours", lambda: _exhaust(predictor.stream(files)), n),
        Case("limit", _decode_and_network(network, files), n),
    ]
    table = Table("predict", f"Predict {n} files, {ARCH} (limit: decode and network alone)", "images/s", 0)
    table.claims = [Claim("ours", "limit", at_least=0.9)]
    if rivals.available():
        cases.append(Case("fastai", rivals.predict_files(files, ARCH, BATCH), n))
    else:
        table.notes.append(rivals.MISSING)
    table.measures = rates(cases, interleave(cases, settings.repeats))
    yield table


def _predictor(network: Network) -> Predictor:
    description = Metadata(network.spec(), Presize(), rivals.SIZE)
    return Predictor(Artifact(network, description, Path("benchmark")), batch_size=BATCH)


def _exhaust(results: Iterator[object]) -> None:
    for result in results:
        if isinstance(result, Exception):
            raise result


def _decode_and_network(network: Network, files: Sequence[Path]) -> Callable[[], None]:
    """Threads decode the files while the network computes on noise, a batch for a batch."""
    noise = torch.rand(BATCH, 3, rivals.SIZE, rivals.SIZE)

    def run() -> None:
        with ThreadPoolExecutor(rivals.WORKERS) as pool, torch.inference_mode():
            decoded = [pool.submit(open_image, file) for file in files]
            for start in range(0, len(files), BATCH):
                batch = decoded[start : start + BATCH]
                for future in batch:
                    future.result()
                network(noise[: len(batch)])

    return run
