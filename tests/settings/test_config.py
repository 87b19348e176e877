"""Every key at the ends of what it may be: by hand, on the command line and in Python, which must agree."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from torch import nn

from pets import cli
from pets.augment.batch import BatchTransform
from pets.augment.erasing import RandomErasing
from pets.callbacks.checkpoint_io import best_checkpoint
from pets.callbacks.dashboards import Dashboards
from pets.callbacks.ema import EMA
from pets.callbacks.lr_finder import LRFinder
from pets.callbacks.progress import Progress
from pets.callbacks.step_seed import StepSeed
from pets.data.datamodule import ImageDataModule
from pets.data.labels import RegexLabeller
from pets.data.presize import Presize
from pets.data.sources.drawn.demo_set import DemoSet
from pets.data.sources.folder import ImageFolder
from pets.data.sources.oxford_pets import OxfordPets
from pets.data.sources.table import CsvTable
from pets.data.splits import SplitRule
from pets.deploy.metadata import Metadata
from pets.deploy.predictor import Predictor
from pets.errors import UserError
from pets.evaluation.evaluate import Options
from pets.model.classifier import Classifier
from pets.model.losses import CrossEntropy
from pets.model.network import Network
from pets.runs.compose import Conf
from pets.schedule.recipe import Phase, fine_tune, one_cycle
from pets.settings import config
from pets.settings.declare import BY_PREFIX, BY_TARGET, fields, key_of

BELOW_1 = math.nextafter(1, 0)
ABOVE_1 = math.nextafter(1, 2)
TINY, HUGE = 1e-9, 1e300
SEED = ([0], [-1, 0.5, True])
FLAG = ([True, False], [1, "yes", None])
TEXT = (["x"], ["", 1, None])
TEXT_OR_NULL = (["x", None], ["", 1])
COUNT = ([1], [0, 1.0, True])
SHARE = ([0, 1, 0.5], [-TINY, ABOVE_1, True, math.nan])
OPEN_SHARE = ([TINY, BELOW_1], [0, 1])
POSITIVE = ([TINY, HUGE], [0, -1, math.inf, "1"])
MOMENTA = ([[0, 0.5, BELOW_1]], [[0.9, 0.9], [0.9, 0.9, 1], [-TINY, 0.9, 0.9], 0.9])

Row = tuple[str, list[Any], list[Any]]
TABLE: dict[str, list[Row]] = {
    "": [
        ("task", ["fit", "check"], ["train", None]),
        ("seed", [0, 4_294_967_295], [-1, 4_294_967_296, 1.0]),
        ("ckpt_path", *TEXT_OR_NULL),
        ("source", *TEXT_OR_NULL),
        ("optimized_metric", ["valid/error_rate", "test/ece", "train/loss"], ["valid/banana", "train/ece", None]),
        ("run_dir", *TEXT),
        ("evaluate.part", ["train", "valid", "test"], ["all"]),
        ("evaluate.at_end", *FLAG),
        ("evaluate.cluster", *FLAG),
        ("evaluate.top_losses", *COUNT),
        ("evaluate.precision", [TINY, 1, None], [0, ABOVE_1]),
        ("evaluate.false_alarms", [TINY, BELOW_1, None], [0, 1]),
        ("evaluate.embedding", *FLAG),
        ("tta.n", [0, 1], [-1, 0.5]),
        ("tta.beta", *SHARE),
        ("check.max_distance", [0, 64], [-1, 65]),
        ("check.min_side", [1, 6000], [0, 6001]),
        ("check.max_side", [64], [63]),
        ("check.predictions", *TEXT_OR_NULL),
        ("check.features", *FLAG),
        ("check.confidence", *SHARE),
        ("learning_curve.repeats", [1, 1000], [0, 1001, 5.0]),
        ("predict.top_k", *COUNT),
        ("predict.format", ["csv", "jsonl"], ["json"]),
        ("predict.batch_size", [1, 65_536], [0, 65_537]),
        ("predict.device", *TEXT_OR_NULL),
        ("predict.file_column", *TEXT),
        ("predict.root", *TEXT_OR_NULL),
        ("export.folder", *TEXT),
        ("export.onnx", ["auto", True, False], ["yes", 1, None]),
        ("serve.host", *TEXT),
        ("serve.port", [0, 65_535], [-1, 65_536, 80.0]),
        ("serve.corrections", *TEXT),
        ("export.metrics", *TEXT_OR_NULL),
        ("export.licence", *TEXT_OR_NULL),
        ("augment.size", [8, 8192], [7, 8193, 4, 224.0]),
        ("augment.min_scale", [0.01, 1], [math.nextafter(0.01, 0), ABOVE_1]),
        ("augment.p_flip", *SHARE),
        ("augment.max_rotate", [0, 180], [-TINY, 180.01]),
        ("augment.max_zoom", [1, 10], [BELOW_1, 10.01]),
        ("augment.max_warp", [0, 0.3], [-TINY, math.nextafter(0.3, 1)]),
        ("augment.p_affine", *SHARE),
        ("augment.max_lighting", [0, 0.9], [-TINY, 0.91]),
        ("augment.p_lighting", *SHARE),
        ("augment.supersample", [1, 2], [0, 3]),
        ("augment.steps", [[], [{"_target_": "mine.Step"}]], ["RandomErasing", ["RandomErasing"], [{"p": 1}], None]),
        ("augment.steps[].p", *SHARE),
        ("augment.steps[].min_area", [TINY, 0.33], [0, 0.34]),
        ("augment.steps[].max_area", [0.02, 1], [0.019, ABOVE_1]),
        ("augment.steps[].max_ratio", [1, 100], [BELOW_1, 100.1]),
        ("augment.steps[].value", *SHARE),
        ("augment.mix", ["none", "mixup", "cutmix"], ["cutout", None]),
        ("augment.mix_alpha", [0.01, 100], [0.009, 100.1]),
        ("data.root", *TEXT),
        ("data.classes", [["a"], None], [[], "a", [""], [1]]),
        ("data.batch_size", *COUNT),
        ("data.num_workers", [0, 256, None], [-1, 257]),
        ("data.seed", *SEED),
        ("data.sampler", ["uniform", "balanced"], ["weighted", None]),
        ("data.on_error", ["raise", "skip"], ["ignore"]),
        ("data.exclude", *TEXT_OR_NULL),
        ("data.relabel", *TEXT_OR_NULL),
        ("data.cache", ["none", "ram", "disk"], ["tape", None]),
        ("data.features", ["none", "ram", "disk"], ["tape", None]),
        ("data.source.root", *TEXT),
        ("data.labeller.pattern", ["(.)"], ["(", "x", ""]),
        ("data.split.method", ["auto", "random", "stratified", "kfold", "folders", "official", "column"], ["k-fold"]),
        ("data.split.group_by", *TEXT_OR_NULL),
        ("data.split.folds", [2, 100], [1, 101, 5.0]),
        ("data.split.fold", [0], [-1, 5, True]),
        ("data.split.valid_pct", *OPEN_SHARE),
        ("data.split.test_pct", [0, math.nextafter(0.8, 0)], [-TINY, 0.8, 1]),
        ("data.split.seed", *SEED),
        ("data.split.from", *TEXT_OR_NULL),
        ("data.presize.size", [1, 8192], [0, 8193, 384.0]),
        ("data.presize.method", ["crop", "pad", "squish", "native"], ["zoom"]),
        ("data.presize.interpolation", ["bilinear", "bicubic"], ["nearest"]),
        ("model.library", ["torchvision", "timm"], ["keras"]),
        ("model.arch", ["resnet18", "resnet152"], ["resnet19", ""]),
        ("model.weights", *TEXT_OR_NULL),
        ("model.frozen_bn", ["train", "eval", "always"], ["never"]),
        ("model.groups", [3, 10], [2, 65, 4.0]),
        ("model.drop_path", [None, 0], [-TINY, 1, 0.1]),
        ("model.class_token", *FLAG),
        ("model.grad_checkpointing", [False], [True, 0]),
        ("model.compile", *FLAG),
        ("model.head.kind", ["concat_pool", "linear"], ["cosine"]),
        ("model.head.hidden", [1, 65_536], [0, 65_537, 512.0]),
        ("model.head.dropout", [0, 0.995, BELOW_1], [-TINY, 1]),
        ("model.head.normalize", [False], [True, 0]),
        ("model.head.init", ["random"], ["lda", "logistic", "zeros"]),
        ("model.head.shrinkage", [TINY, 1, "auto"], [0, ABOVE_1, "none"]),
        ("model.head.C", [TINY, 1e6, "auto"], [0, -1, math.inf, "none"]),
        ("loss.label_smoothing", [0, BELOW_1], [-TINY, 1]),
        ("loss.class_weights", [[0, 1e6], "balanced", None], ["inverse", [-TINY, 1], [0, 1.1e6], [0, 0], 1]),
        ("optimizer.lr", *POSITIVE),
        ("optimizer.betas", [[0, BELOW_1]], [[0.9], [0.9, 1], [-TINY, 0.9], [0.9, 0.9, 0.9]]),
        ("optimizer.eps", *POSITIVE),
        ("optimizer.weight_decay", [0, HUGE], [-TINY, None]),
        ("optimizer.fused", [True, False, None], [1]),
        ("recipe.epochs", [0], [-1, 1.0]),
        ("recipe.freeze_epochs", [0], [-1, 1.0]),
        ("recipe.base_lr", [TINY, 1], [0, -1, None]),
        ("recipe.lr_mult", [TINY, 1e6], [0, -1]),
        ("recipe.pct_start", *OPEN_SHARE),
        ("recipe.div", [1, HUGE], [BELOW_1, 0.5]),
        ("recipe.momenta", *MOMENTA),
        ("callbacks.progress.bar", ["auto", "on", "off"], ["maybe"]),
        ("callbacks.dashboards.images", *COUNT),
        ("callbacks.checkpoint.monitor", ["valid/error_rate", "train/loss"], ["banana", "valid/ece", ""]),
        ("callbacks.checkpoint.mode", ["min", None], ["max", "least"]),
        ("trainer.accelerator", *TEXT),
        ("trainer.devices", [1, "auto", [0]], [0, -1, [-1], "", None]),
        ("trainer.num_nodes", *COUNT),
        ("trainer.strategy", *TEXT),
        ("trainer.precision", ["auto", "32-true", "bf16-mixed", "16-mixed"], ["64", 32]),
        ("trainer.accumulate_grad_batches", *COUNT),
        ("trainer.gradient_clip_val", [0, HUGE, None], [-TINY]),
        ("trainer.max_steps", [-1], [-2, 0.5]),
        ("trainer.limit_train_batches", [0, 7, 0.0, 1.0, None], [-1, ABOVE_1, 1.5]),
        ("trainer.limit_val_batches", [0, 7, 0.0, 1.0, None], [-1, ABOVE_1, 1.5]),
        ("trainer.log_every_n_steps", *COUNT),
        ("trainer.num_sanity_val_steps", [-1], [-2, None]),
        ("trainer.deterministic", [True, False, "warn"], ["yes", 1]),
        ("trainer.sync_batchnorm", *FLAG),
        ("trainer.use_distributed_sampler", [False], [True]),
        ("trainer.enable_model_summary", *FLAG),
        ("trainer.enable_autolog_hparams", *FLAG),
    ],
    "data=folder data.root=x": [("data.source.root", *TEXT), ("data.source.recursive", *FLAG)],
    "data=demo": [
        ("data.source.root", *TEXT),
        ("data.source.seed", *SEED),
        ("data.source.per_breed", [2], [1, 2.0]),
    ],
    "data=csv data.root=x": [
        ("data.source.path", *TEXT),
        ("data.source.root", *TEXT_OR_NULL),
        ("data.source.file_column", *TEXT),
        ("data.source.label_column", *TEXT),
        ("data.source.valid_column", *TEXT_OR_NULL),
        ("data.source.split_column", *TEXT_OR_NULL),
    ],
    "model.head.kind=linear": [
        ("model.head.normalize", [True, False], [1]),
        ("model.head.init", ["random", "lda"], ["zeros"]),
    ],
    "optimizer=sgd": [
        ("optimizer.lr", *POSITIVE),
        ("optimizer.momentum", [0, BELOW_1], [-TINY, 1]),
        ("optimizer.weight_decay", [0, HUGE], [-TINY]),
        ("optimizer.nesterov", *FLAG),
    ],
    "recipe=one_cycle": [
        ("recipe.base_lr", [TINY, 1, None], [0, -1]),
        ("recipe.phases", [[{"epochs": 1, "frozen": True, "lr": 1}]], [[], 3, ["frozen"]]),
        ("recipe.phases[].epochs", *COUNT),
        ("recipe.phases[].frozen", *FLAG),
        ("recipe.phases[].pct_start", *OPEN_SHARE),
        ("recipe.phases[].div", [1, HUGE], [BELOW_1]),
        ("recipe.phases[].div_final", [1, HUGE], [BELOW_1]),
        ("recipe.phases[].momenta", *MOMENTA),
        ("recipe.phases[].size", [8, 8192, None], [7, 8193, 224.0]),
    ],
    "recipe=one_cycle model.groups=64": [
        ("recipe.phases[].lr", [TINY, [1e-6, 1], [1] * 64], [0, [0, 1], [1] * 65, [], None]),
    ],
    "ema=default": [("ema.decay", [0, BELOW_1], [-TINY, 1])],
    "lr_finder=report": [
        ("lr_finder.mode", ["report", "apply"], ["off"]),
        ("lr_finder.suggestion", ["valley", "slide", "steep", "minimum"], ["steepest"]),
        ("lr_finder.start_lr", [TINY, math.nextafter(10, 0)], [0, 10]),
        ("lr_finder.end_lr", [math.nextafter(1e-7, 1), HUGE], [0, 1e-7, math.inf]),
        ("lr_finder.num_steps", [30], [29, 30.0]),
        ("lr_finder.dirpath", *TEXT_OR_NULL),
    ],
}
"""(key, last allowed values, first refused values) by the files and settings that the command line names before."""
ROWS = [(context, *row) for context, rows in TABLE.items() for row in rows]
IDS = [f"{context} {key}".strip() for context, key, *_ in ROWS]
PHASE: dict[str, Any] = {"epochs": 1, "frozen": False, "lr": 0.001}


@cache
def composed(context: str) -> DictConfig:
    """Compose conf/ once for each context; a test works on a copy."""
    return Conf().compose(context.split())


def written(value: object) -> str:
    """Return a value as it is typed."""
    if isinstance(value, list):
        return f"[{','.join(map(written, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}:{written(below)}" for name, below in value.items()) + "}"
    if isinstance(value, str):
        return f"'{value}'"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)


def on_the_command_line(context: str, key: str, value: Any) -> None:
    """Check `key=value` as a command does that names the context too."""
    if key.startswith("recipe.phases[]."):
        key, value = "recipe.phases", [PHASE | {key.rsplit(".", 1)[-1]: value}]
    elif key.startswith("augment.steps[]."):
        step = {"_target_": "pets.augment.erasing.RandomErasing", key.rsplit(".", 1)[-1]: value}
        key, value = "augment.steps", [step]
    override = OverridesParser.create().parse_override(f"{key}={written(value)}")
    cfg = deepcopy(composed(context))
    OmegaConf.update(cfg, key, override.value())
    cli.check(cfg)


def data_module(**options: Any) -> ImageDataModule:
    options.pop("root", None)  # of the source
    return ImageDataModule(ImageFolder("x"), RegexLabeller(), SplitRule(), BatchTransform(), **options)


def predictor(**options: Any) -> Predictor:
    metadata = SimpleNamespace(classes=("a", "b"), threshold=None)
    artifact: Any = SimpleNamespace(network=nn.Identity(), metadata=metadata, origin="x", detector=None)
    return Predictor(artifact, **options)


def classifier(arch: str = "resnet18", **options: Any) -> Classifier:
    return Classifier(arch, classes=["a", "b"], weights=None, **options)


def head(**options: Any) -> Network:
    return Network("resnet18", classes=["a", "b"], weights=None, head=options)


def table(path: str = "x", **options: Any) -> CsvTable:
    return CsvTable(path, **options)


CLASSES: dict[str, Callable[..., object]] = {
    " seed": StepSeed,
    " augment": BatchTransform,
    " augment.steps[]": RandomErasing,
    " data": data_module,
    " data.source": OxfordPets,
    "data=folder data.root=x data.source": partial(ImageFolder, "x"),
    "data=demo data.source": partial(DemoSet, "x"),
    "data=csv data.root=x data.source": table,
    " data.labeller": RegexLabeller,
    " data.split": SplitRule,
    " data.presize": Presize,
    " model": classifier,
    " model.head": head,
    "model.head.kind=linear model.head": partial(head, kind="linear"),
    " loss": CrossEntropy,
    " recipe": fine_tune,
    "recipe=one_cycle recipe": partial(one_cycle, phases=[PHASE]),
    "recipe=one_cycle recipe.phases[]": partial(Phase, **PHASE),
    "recipe=one_cycle model.groups=64 recipe.phases[]": partial(Phase, **PHASE),
    "lr_finder=report lr_finder": LRFinder,
    "ema=default ema": EMA,
    " callbacks.progress": Progress,
    " callbacks.dashboards": Dashboards,
    " callbacks.checkpoint": partial(best_checkpoint, monitor="valid/error_rate"),
    " predict": predictor,
    " evaluate": Options,
    " tta": lambda **options: Options(**{f"tta_{name}": value for name, value in options.items()}),
}
"""What uses the settings below a key, where it is this project's and takes them as arguments."""
TASKS_READ = {
    "data.root": "the source takes it",
    "evaluate.part": "tasks/evaluate.py", "evaluate.at_end": "tasks/fit.py",
    "predict.format": "tasks/predict.py", "predict.device": "tasks/predict.py",
    "predict.file_column": "tasks/predict.py", "predict.root": "tasks/predict.py",
    "model.weights": "any name that is allowed is looked for",
}  # fmt: skip
"""Settings whose class does not take them, and who reads them."""


def in_python(context: str, key: str, value: Any) -> bool:
    """Build what uses a setting; return whether there is such a class."""
    if key in TASKS_READ:
        return False
    prefix, _, name = key.rpartition(".")
    if not prefix:
        prefix, name = key, key
    build = CLASSES.get(f"{context} {prefix}")
    if build is None:
        return False
    if isinstance(build, partial) and build.func in (ImageFolder, DemoSet) and name == "root":
        build = build.func
    build(**{name: value})
    return True


def refusal(route: Callable[[str, str, Any], object], context: str, key: str, value: Any) -> str:
    try:
        route(context, key, value)
    except UserError as error:
        return re.sub(r"(phases|steps)\[0\](?=\.)", r"\1[]", str(error))
    return ""


@pytest.mark.parametrize(("context", "key", "good", "bad"), ROWS, ids=IDS)
def test_the_command_line_and_python_agree_at_the_ends(
    context: str, key: str, good: Sequence[Any], bad: Sequence[Any]
) -> None:
    for value in good:
        assert refusal(on_the_command_line, context, key, value) == "", value
        assert refusal(in_python, context, key, value) == "", value
    for value in bad:
        message = refusal(on_the_command_line, context, key, value)
        assert key.rpartition(".")[2] in message, value
        assert "\n" not in message
        assert len(message) < 400
        if refusal(in_python, context, key, good[0]) == "" and in_python(context, key, good[0]):
            assert refusal(in_python, context, key, value) == message


def declared_keys() -> set[tuple[str, str]]:
    """Return (key, context-free name of the declaration) of every field that is declared in the configuration."""
    declarations = [*BY_PREFIX.values(), *BY_TARGET.values()]
    return {(key_of(one, name), one.__name__) for one in declarations for name in fields(one)}


OF_CONTEXT: Mapping[str, tuple[str, ...]] = {
    "": (),
    "data=folder data.root=x": ("Folder",),
    "data=demo": ("Demo",),
    "data=csv data.root=x": ("Table",),
    "model.head.kind=linear": ("Head",),
    "optimizer=sgd": ("SGD",),
    "recipe=one_cycle": ("OneCycle", "Phase"),
    "recipe=one_cycle model.groups=64": ("Phase",),
    "lr_finder=report": ("LRFinder",),
    "ema=default": ("EMA",),
}
"""The declarations that a context's rows are of; the others are those of the first rows."""


def test_the_table_has_a_row_for_every_declared_key() -> None:
    elsewhere = {name for names in OF_CONTEXT.values() for name in names} - {"Head"}
    missing = []
    for key, declaration in sorted(declared_keys()):
        contexts = [context for context, names in OF_CONTEXT.items() if declaration in names]
        contexts += [""] if declaration not in elsewhere else []
        if not any(key == row for context in contexts for row, *_ in TABLE[context]):
            missing.append(f"{key} of {declaration}")
    assert missing == []


def test_the_table_has_no_other_key() -> None:
    assert {key for _, key, *_ in ROWS} == {key for key, _ in declared_keys()}


def test_augment_size_4_is_refused_by_the_class_too() -> None:
    with pytest.raises(UserError, match=r"^augment\.size=4 is not allowed: a whole number from 8 to 8192$"):
        BatchTransform(size=4)


def test_recipe_div_of_a_half_is_refused_by_the_command_line_too() -> None:
    with pytest.raises(UserError, match=r"^recipe\.div=0\.5 is not allowed: a number, at least 1$"):
        on_the_command_line("", "recipe.div", 0.5)


def test_head_dropout_of_995_thousandths_is_allowed_on_the_command_line_too() -> None:
    on_the_command_line("", "model.head.dropout", 0.995)


def test_one_drawing_a_breed_is_refused_by_the_class_too() -> None:
    with pytest.raises(UserError, match=r"^data\.source\.per_breed=1 is not allowed: a whole number, at least 2$"):
        DemoSet("x", per_breed=1)


@pytest.mark.parametrize("change", [{"presize": 5000}, {"hidden": 20_000}], ids=str)
def test_what_can_be_trained_can_be_exported(change: dict[str, int], tmp_path: Path) -> None:
    network = Network("resnet18", classes=["a", "b"], weights=None, head={"hidden": change.get("hidden", 8)})
    metadata = Metadata(network.spec(), Presize(change.get("presize", 384)), 224)
    assert Metadata.from_values(metadata.values(), tmp_path) == metadata


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("recipe.epoch=3", "no key recipe.epoch; did you mean recipe.epochs?"),
        ("epochs=3", "no key epochs: use recipe.epochs"),
        ("ema.decay=0.9", "no key ema.decay: use ema=default before it"),
        ("trainer.max_epochs=3", "no key trainer.max_epochs: use recipe.epochs (with phases: recipe.phases.0.epochs)"),
        ("+trainer.max_epochs=3", "no key trainer.max_epochs: use recipe.epochs (with phases: recipe.phases.0.epochs)"),
        ("modle=resnet18", "no key modle; did you mean model?"),
        ("+foo=1", "no key foo"),
        ("+data.split.manifest=x", "no key data.split.manifest"),
        ("data.batchsize=4", "no key data.batchsize; did you mean data.batch_size?"),
    ],
)
def test_a_key_that_does_not_exist_is_answered_with_the_one_that_does(typed: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        config.check(Conf().compose([typed]))
    assert str(caught.value).startswith(says)


def test_what_a_persons_own_class_takes_is_passed_on() -> None:
    own = {"_target_": "mine.Own", "banana": {"size": -1}}
    cfg = deepcopy(composed(""))
    OmegaConf.update(cfg, "callbacks.mine", own, force_add=True)
    OmegaConf.update(cfg, "loss", own, force_add=True)
    config.check(cfg)


def test_a_group_that_is_a_number_and_a_value_that_is_a_group_are_refused() -> None:
    cfg = deepcopy(composed(""))
    OmegaConf.update(cfg, "evaluate", 3)
    with pytest.raises(UserError, match=r"^evaluate=3 is not allowed: a group of keys$"):
        config.check(cfg)
    cfg = deepcopy(composed(""))
    OmegaConf.update(cfg, "augment.size", {"side": 3}, force_add=True)
    with pytest.raises(UserError, match=r"^augment\.size=\{'side': 3\} is not allowed: a whole number"):
        config.check(cfg)


def test_a_required_value_is_asked_for() -> None:
    with pytest.raises(UserError, match=r"^data\.root is required: add data\.root=VALUE to the command$"):
        config.check(composed("data=folder"))


def test_a_value_from_the_environment_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    cfg = Conf().compose(["augment.size='${oc.env:SECRET}'"])
    with pytest.raises(UserError, match=r"^augment\.size='\$\{oc\.env:SECRET\}' is not allowed: ") as caught:
        config.check(cfg)
    assert "hunter2" not in str(caught.value)
