"""What the README shows does what it says."""

import re
import shlex
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from pets.model import resnet
from pets.settings import config

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_snippet_runs(tiny_pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snippet = re.search(r"```python\n(from lightning import.*?)```", README, re.DOTALL)
    assert snippet
    (tmp_path / "photos").symlink_to(tiny_pets)
    monkeypatch.chdir(tmp_path)
    # Published weights need the network; sizes and steps are cut so that it takes seconds.
    monkeypatch.setattr(resnet, "_download", lambda arch, member: {})
    monkeypatch.setattr(resnet, "load_strictly", lambda *args, **kwargs: None)
    quiet = "logger=False, enable_progress_bar=False, enable_checkpointing=False"
    smaller = {
        "size=224": "size=32",
        "Presize(384)": "Presize(40)",
        "batch_size=64": "batch_size=8, num_workers=0",
        "LRFinder()": "LRFinder(num_steps=30)",
        "resnet34": "resnet18",
        "Trainer(": f"Trainer(accelerator='cpu', {quiet}, ",
    }
    code = snippet[1]
    for written, tiny in smaller.items():
        assert written in code
        code = code.replace(written, tiny)
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert isinstance(names["trainer"].current_epoch, int)  # type: ignore[attr-defined]
    assert names["trainer"].current_epoch == 3  # type: ignore[attr-defined]
    assert torch.isfinite(names["trainer"].callback_metrics["valid/loss"])  # type: ignore[attr-defined]


def commands() -> list[str]:
    """Return every `python train.py ...` of the README without its comment."""
    lines = re.findall(r"^python train\.py[^\n]*", README, re.MULTILINE)
    return sorted({line.split("   #")[0].strip() for line in lines})


@pytest.mark.parametrize("command", commands())
def test_every_command_composes_and_follows_the_rules(command: str) -> None:
    sweeps = {"model=resnet18,resnet34": "model=resnet18", "recipe.base_lr=1e-3,3e-3": "recipe.base_lr=1e-3"}
    words = [sweeps.get(word, word) for word in shlex.split(command)[2:] if not word.startswith("-")]
    words = [re.sub("=S$", "=0", word.replace("=~", "=/home")) for word in words if not word.startswith("hydra.")]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config.check(compose("config", overrides=["run_dir=run", *words]))


def test_every_picture_is_there() -> None:
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README)
    assert pictures
    assert [path for path in pictures if not (ROOT / path).is_file()] == []
