"""What the whole zoo needs: good photographs to live among, the way to the loaders, and proof that no file changed."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from pets import cli
from pets.augment.batch import BatchTransform
from pets.data.datamodule import ImageDataModule
from pets.data.labels import RegexLabeller
from pets.data.presize import Presize
from pets.data.sources.folder import ImageFolder, ImageSource
from pets.data.splits import SplitRule
from pets.settings.parts import Part


def fingerprint(folder: Path) -> dict[str, str]:
    """Return what every entry of a folder is: mode and hash of a file, target of a link, mode of anything else."""
    return {
        os.path.join(at, name): _of_entry(Path(at, name))
        for at, folders, files in os.walk(folder)
        for name in (*folders, *files)
    }


def _of_entry(path: Path) -> str:
    if path.is_symlink():
        return f"link to {os.readlink(path)}"
    content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and path.stat().st_size < 2**20 else ""
    return f"{path.lstat().st_mode:o} {path.lstat().st_size} {content}"


@pytest.fixture
def cage(tiny_pets: Path, tmp_path: Path) -> Path:
    """A folder with two photographs of each of three breeds."""
    folder = tmp_path / "cage"
    folder.mkdir()
    for path in tiny_pets.glob("*_[01].jpg"):
        shutil.copy(path, folder)
    return folder


@pytest.fixture
def load(cage: Path) -> Callable[..., ImageDataModule]:
    """A function that goes the whole way of `cage`, from the listing to augmented batches.

    It returns the data module, raises what a run would raise, and asserts that every item was met once and that no
    file was changed, whichever way it ended.
    """

    def whole_way(
        source: ImageSource | None = None,
        labeller: Callable[[Sequence[str]], list[str]] | None = None,
        **options: Any,
    ) -> ImageDataModule:
        parts: tuple[Part, ...] = ("train", "valid")
        before = fingerprint(cage)
        try:
            data = ImageDataModule(
                source or ImageFolder(cage),
                labeller or RegexLabeller(r"(?s)(.+)_[^_]*$"),
                SplitRule("stratified", valid_pct=0.3, seed=0),
                BatchTransform(size=8),
                presize=Presize(16),
                batch_size=1,
                num_workers=0,
                **options,
            )
            data.prepare_data()
            data.setup()
            met = [item for part in parts for item in _meet(data, part)]
            assert sorted(met) == list(range(len(data.table)))
            return data
        finally:
            assert fingerprint(cage) == before

    return whole_way


def _meet(data: ImageDataModule, part: Part) -> list[int]:
    """Load a part as training or validation would; return its items."""
    items = []
    for batch in data.loader(part, training=part == "train", shuffle=part == "train"):
        assert (batch.images.shape, batch.images.dtype) == ((1, 3, 16, 16), torch.uint8)
        images = (data.augment(batch) if part == "train" else data.batch_transform.evaluate(batch)).images
        assert images.shape == (1, 3, 8, 8)
        assert bool(((images >= 0) & (images <= 1)).all())
        items += batch.indices.tolist()
    return items


@pytest.fixture
def start(tiny_config: Callable[..., DictConfig]) -> Iterator[Callable[..., None]]:
    """A function of overrides that starts a run as the command line does."""

    def run(*overrides: str) -> None:
        cfg = tiny_config("recipe.freeze_epochs=0", "trainer.limit_train_batches=1", *overrides)
        hydra: dict[str, Any] = {"mode": None, "overrides": {"task": []}, "runtime": {"cwd": str(Path.cwd())}}
        HydraConfig.instance().cfg = OmegaConf.create({"hydra": hydra})  # type: ignore[assignment]
        cli.run(cfg)

    yield run
    HydraConfig.instance().cfg = None
