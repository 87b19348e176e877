"""Every page says what is there: its commands compose, its programs run, its links and named tests exist."""

import importlib.util
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from benchmarks import accuracy
from benchmarks.__main__ import PARTS
from pets import cli
from pets.data.presize import Presize
from pets.model import resnet
from pets.model.classifier import Classifier
from pets.private_api import hydra_flags
from pets.runs.compose import Conf
from pets.runs.overrides import as_typed

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
TEXTS = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in PAGES}
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
SPAN = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")
OVERRIDE = re.compile(r"[+~]?[a-z]\w*([./]\w+)*=\S*")
NOT_OURS = {"item_tfms=Resize(460)", "batch_tfms=aug_transforms(size=224, min_scale=0.75)", "allow_pickle=False"}
"""Spans of code that look like overrides and belong to another program."""
NEEDS = {"recipe.phases": "recipe=one_cycle", "lr_finder.": "lr_finder=apply"}
"""Groups without which a key does not exist, by the start of the key."""
TO_COME = {
    "conf/experiment/mine.yaml", "conf/augment/mine.yaml", "conf/callbacks/mine.yaml", "pets/tasks/benchmark.py",
    "conf/model/wide_resnet50_2.yaml",
}  # fmt: skip
"""Files that the pages show how to add."""


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """Yield (page, text) of each block of a language."""
    for page, text in TEXTS.items():
        for block in re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            yield page, block


def commands() -> list[str]:
    """Return each command in a block or in a span, without its comment, parts of `&&` by themselves."""
    found = set()
    for _, block in blocks("bash"):
        found |= {line for line in block.replace("\\\n", " ").splitlines() if line.strip()}
    for text in TEXTS.values():
        prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
        for span in SPAN.findall(prose):
            line = " ".join(span.split())
            if re.match(r"(python3?|pip|pytest|pets|bash|tensorboard) \S", line) and "..." not in line:
                found.add(line)
    parts = {part.strip() for line in found for part in re.sub(r"\s#\s.*", "", line).split("&&")}
    return sorted(parts)


def spans() -> list[tuple[str, str]]:
    """Return (page, overrides) of each span of code that is made of overrides alone."""
    found = set()
    for page, text in TEXTS.items():
        if page in ("CHANGELOG.md", "CONTRIBUTING.md", "docs/compatibility.md"):
            continue  # they speak of keys of the past and of keys to come
        prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
        for span in SPAN.findall(prose):
            line = " ".join(span.split())
            try:
                words = [word for word in shlex.split(line) if word != "-m"]
            except ValueError:
                continue
            if words and all(OVERRIDE.fullmatch(word) for word in words) and line not in NOT_OURS:
                found.add((page, line))
    return sorted(found)


def composes(words: list[str], *, complete: bool) -> None:
    """Compose a command as the command line does before it looks at files; check its values if it is complete."""
    flags = hydra_flags([re.sub("=S$", "=0", word) for word in words])
    typed = [as_typed(text, flags.multirun) for text in flags.overrides if not text.startswith("ckpt_path=last")]
    given = [text for text in typed if not re.search(r"=$|=[A-Z]+$", text)]  # `hydra.run.dir=` names a key alone
    cfg = composed(tuple(given), flags.multirun)
    if complete:
        taken_up = any(text.startswith(("ckpt_path=last", "ckpt_path=FOLDER")) for text in flags.overrides)
        cfg.ckpt_path = "a run" if taken_up else cfg.ckpt_path
        cli.check(cfg)


@cache
def composed(typed: tuple[str, ...], multirun: bool) -> DictConfig:
    return Conf().compose(list(typed), multirun)


@pytest.mark.parametrize("command", commands())
def test_every_command_is_one(command: str) -> None:
    words = shlex.split(command)
    while re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words.pop(0)
    match words:
        case ["python", "train.py", *rest] | ["pets", *rest] if not any(w.startswith("--config-dir") for w in rest):
            if not any(word.startswith("--help") for word in rest):
                composes([word for word in rest if word not in ("--cfg", "job")], complete=True)
        case ["pets", *_]:
            pass  # with files of the page itself: tests/test_main.py runs it
        case ["pip", "install", *rest]:
            for name in re.findall(r"\[([\w,]+)\]", " ".join(rest)):
                assert set(name.split(",")) <= set(EXTRAS)
        case ["pytest", *rest]:
            assert [path for path in rest if path not in ("-n", "4") and not (ROOT / path).exists()] == []
        case ["bash", path] | ["python", path, *_] if path.startswith((".ci", "benchmarks")):
            assert (ROOT / path).is_file()
        case ["python", "-m", module, *rest] if module.startswith("benchmarks"):
            assert importlib.util.find_spec(module)
            assert module != "benchmarks" or are_benchmarks(rest)
        case _:
            assert command in {
                "python3 -m venv .venv", ". .venv/bin/activate", "tensorboard --logdir outputs", "pre-commit install",
                "python -m build", "python -m pets", "python predict.py photo.jpg", "python train.py",
            }, "a command that no test knows"  # fmt: skip


def are_benchmarks(words: list[str]) -> bool:
    if words[:1] == ["accuracy"]:
        accuracy.parse(words[1:])  # ends the program if there is one that it does not know
        return True
    return set(words) <= {*PARTS, "all"}


def together(found: list[tuple[str, str]]) -> list[list[str]]:
    """Join spans that speak of different groups, so that few compositions try them all."""
    joined: list[tuple[set[str], list[str]]] = []
    for _, line in found:
        words = [word for word in shlex.split(line) if word != "-m"]
        needed = [group for start, group in NEEDS.items() if any(word.startswith(start) for word in words)]
        words = [*(group for group in needed if group not in words), *words]
        groups = {re.split("[./=]", word.lstrip("+~"))[0] for word in words}
        alone = bool(groups & {"experiment", "sweep", "debug"})
        room = next((entry for entry in joined if not (alone or entry[0] & (groups | {"alone"}))), None)
        if room is None:
            joined.append((groups | ({"alone"} if alone else set()), words))
        else:
            room[0].update(groups)
            room[1].extend(words)
    return [words for _, words in joined]


@pytest.mark.parametrize("words", together(spans()), ids=" ".join)
def test_every_override_in_the_text_composes(words: list[str]) -> None:
    composes(words, complete=False)


def training() -> list[str]:
    return [block for page, block in blocks("python") if page == "docs/python.md" and "Predictor.load" not in block]


def test_the_training_programs_run_one_after_the_other(
    tiny_pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").symlink_to(tiny_pets)
    (tmp_path / "cat.jpg").symlink_to(tiny_pets / "Birman_0.jpg")
    monkeypatch.chdir(tmp_path)
    # Published weights need the network; sizes are cut so that it takes seconds.
    monkeypatch.setattr(resnet, "_download", lambda arch, member: {})
    monkeypatch.setattr(resnet, "load_strictly", lambda *args, **kwargs: None)
    code = "\n".join(training())
    quiet = "logger=False, enable_progress_bar=False, enable_checkpointing=False"
    smaller = {
        "size=224": "size=32",
        "Presize(384)": "Presize(40)",
        "batch_size=64": "batch_size=8, num_workers=0",
        "LRFinder()": "LRFinder(num_steps=30)",
        "resnet34": "resnet18",
        "Trainer(": f"Trainer(accelerator='cpu', {quiet}, ",
    }
    for written, tiny in smaller.items():
        assert written in code
        code = code.replace(written, tiny)
    names: dict[str, Any] = {}
    exec(compile(code, "docs/python.md", "exec"), names)
    assert len(names["history"]) == names["trainer"].current_epoch == 3
    assert torch.isfinite(names["trainer"].callback_metrics["valid/loss"])
    assert set(capsys.readouterr().out.splitlines()) & set(names["data"].vocab)
    assert {path.name for path in tmp_path.iterdir()} == {"photos", "cat.jpg"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with the checkpoint of a random network."""
    classifier = Classifier("resnet18", classes=["birman", "pug"], weights=None, head={"hidden": 8})
    data = {"classes": ["birman", "pug"], "presize": asdict(Presize(40)), "size": 32}
    data["interpolation"] = "bilinear, antialiased"
    checkpoint: dict[str, Any] = {"state_dict": classifier.state_dict(), "ImageDataModule": data}
    classifier.on_save_checkpoint(checkpoint)
    run = tmp_path_factory.mktemp("run")
    (run / "checkpoints").mkdir()
    torch.save(checkpoint, run / "checkpoints" / "last.ckpt")
    return run


def predicting() -> list[tuple[str, str]]:
    return [(page, block) for page, block in blocks("python") if 'Predictor.load("outputs' in block]


@pytest.mark.parametrize(("page", "code"), predicting(), ids=[page for page, _ in predicting()])
def test_the_predicting_programs_run(
    page: str, code: str, trained: Path, tiny_pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("cat.jpg", "dog.jpg"):
        (tmp_path / name).symlink_to(tiny_pets / "pug_0.jpg")
    (tmp_path / "outputs" / "2026-01-31").mkdir(parents=True)
    (tmp_path / "outputs" / "2026-01-31" / "12-00-00_fit").symlink_to(trained)
    names: dict[str, object] = {}
    exec(compile(code, page, "exec"), names)


def test_every_python_block_is_run() -> None:
    elsewhere = {"docs/your_own_files.md", "docs/chapter5.md"}  # tests/test_main.py, tests/test_notebook.py
    known = {*training(), *(block for _, block in predicting())}
    assert {page for page, block in blocks("python") if block not in known} <= elsewhere


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", TEXTS)
def test_links_and_pictures_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[page]):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        there = (ROOT / page).parent / path if path else ROOT / page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there.read_text(encoding="utf-8")), target


def test_every_page_and_every_picture_is_linked() -> None:
    linked = {
        ((ROOT / page).parent / target.partition("#")[0]).resolve()
        for page, text in TEXTS.items()
        for target in re.findall(r"\]\(([^)\s]+)\)", text)
    }
    files = [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "images").iterdir()]
    assert [path.name for path in files if path.resolve() not in linked and path.name != "README.md"] == []


@pytest.mark.parametrize("page", TEXTS)
def test_every_named_test_exists(page: str) -> None:
    for path, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXTS[page]):
        assert (ROOT / path).is_file(), path
        assert not name or f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path}::{name}"


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/reliability.md"])
def test_every_promise_names_a_test(page: str) -> None:
    tables = re.findall(r"^\|.*held by \|\n\|[-|]+\n((?:\|.*\n)+)", TEXTS[page], re.MULTILINE)
    rows = [row for table in tables for row in table.splitlines()]
    assert len(rows) > 20
    assert [row for row in rows if "::test_" not in row] == []


@pytest.mark.parametrize("page", [page for page in TEXTS if page != "CHANGELOG.md"])
def test_every_named_file_of_the_code_exists(page: str) -> None:
    named = re.findall(r"`((?:pets|conf|benchmarks|hydra_plugins|\.ci)/[\w/.]*)`", TEXTS[page])
    assert [path for path in named if path not in TO_COME and not (ROOT / path).exists()] == []
