"""The tasks with a cache: a fit ends with the weights that it has without one, and a look at the data builds none."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from pets.data.cache.build import images_folder
from pets.model.checkpoint import read_checkpoint
from pets.tasks import evaluate, fit, inspect

Compose = Callable[..., DictConfig]
TINY = ("data.presize.method=native", "data.presize.size=48", "data.batch_size=4")


@pytest.fixture(autouse=True)
def _cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def photos(tiny_pets: Path, tmp_path: Path) -> str:
    return f"data.root={shutil.copytree(tiny_pets, tmp_path / 'photos')}"


def test_a_fit_and_its_evaluation_do_not_depend_on_the_cache(photos: str, tiny_config: Compose) -> None:
    folders = {}
    for kind in ("none", "ram", "disk", "disk"):
        cfg = tiny_config(photos, *TINY, f"data.cache={kind}")
        fit.run(cfg)
        folders[kind] = Path(cfg.run_dir)
    weights = {kind: read_checkpoint(folder).weights for kind, folder in folders.items()}
    for kind in ("ram", "disk"):
        assert all(torch.equal(weights[kind][name], tensor) for name, tensor in weights["none"].items())
    again = tiny_config(photos, "task=evaluate", f"ckpt_path={folders['none']}", "data.cache=ram")
    evaluate.run(again)
    reports = [json.loads((folder / "valid" / "report.json").read_text()) for folder in
               (*folders.values(), Path(again.run_dir))]  # fmt: skip
    assert all(report == reports[0] for report in reports)


def test_a_look_at_the_first_batch_builds_no_cache(photos: str, tiny_config: Compose) -> None:
    inspect.run(tiny_config(photos, *TINY, "task=inspect", "data.cache=disk"))
    assert not images_folder().exists()
