"""What every configuration key may hold, checked before anything slow is imported.

A component checks itself once more when it is built; this table is for the person at the prompt, who gets an answer in
a second. A test walks through every file of conf/ and fails on a key without a rule.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from pets.allowed import (
    ANYTHING,
    BATCHES,
    FLAG,
    SHARE,
    TEXT,
    Rule,
    between,
    either,
    integer,
    list_of,
    number,
    one_of,
    positive,
)  # fmt: skip
from pets.settings.metrics import METRICS, checkpoint_mode

RULES: dict[str, Rule] = {
    "task": one_of("fit", "find_lr", "inspect", "evaluate", "predict", "export", "check"),
    "seed": integer(0, 2**32 - 1),
    "ckpt_path": TEXT.or_null(),
    "optimized_metric": one_of(*METRICS),
    "run_dir": TEXT,
    "evaluate.part": one_of("valid", "test", "train"),
    "evaluate.at_end": FLAG,
    "evaluate.cluster": FLAG,
    "evaluate.top_losses": integer(1),
    "evaluate.precision": number(0.01, 1).or_null(),
    "evaluate.embedding": FLAG,
    "source": TEXT.or_null(),
    "predict.top_k": integer(1),
    "predict.format": one_of("csv", "jsonl"),
    "predict.batch_size": integer(1, 65_536),
    "predict.device": TEXT.or_null(),
    "predict.file_column": TEXT,
    "predict.root": TEXT.or_null(),
    "export.folder": TEXT,
    "export.onnx": one_of("auto", True, False),
    "export.metrics": TEXT.or_null(),
    "export.licence": TEXT.or_null(),
    "check.max_distance": integer(0, 64),
    "check.min_side": integer(1),
    "check.max_side": integer(1),
    "check.predictions": TEXT.or_null(),
    "check.confidence": SHARE,
    "tta.n": integer(0),
    "tta.beta": SHARE,
    # data
    "data.*": TEXT,
    "data.batch_transform": ANYTHING,
    "data.source.recursive": FLAG,
    "data.source.seed": integer(0),
    "data.source.per_breed": integer(2),
    "data.source.valid_column": TEXT.or_null(),
    "data.source.split_column": TEXT.or_null(),
    "data.split.method": one_of("random", "stratified", "official", "column"),
    "data.split.valid_pct": between(0, 1),
    "data.split.test_pct": number(0, 1),
    "data.split.seed": integer(0),
    "data.split.from": TEXT.or_null(),
    "data.presize.size": integer(1, 8192),
    "data.presize.method": one_of("crop", "pad", "squish", "native"),
    "data.presize.interpolation": one_of("bilinear", "bicubic"),
    "data.classes": list_of(TEXT).or_null(),
    "data.batch_size": integer(1),
    "data.num_workers": integer(0, 256).or_null(),
    "data.seed": integer(0),
    "data.on_error": one_of("raise", "skip"),
    "data.exclude": TEXT.or_null(),
    "data.relabel": TEXT.or_null(),
    "data.cache": one_of("none", "ram", "disk"),
    # augment
    "augment._target_": TEXT,
    "augment.size": integer(8, 8192),
    "augment.min_scale": number(0.01, 1),
    "augment.p_flip": SHARE,
    "augment.max_rotate": number(0, 180),
    "augment.max_zoom": number(1, 10),
    "augment.max_warp": number(0, 0.3),
    "augment.p_affine": SHARE,
    "augment.max_lighting": number(0, 0.9),
    "augment.p_lighting": SHARE,
    "augment.supersample": one_of(1, 2),
    "augment.mix": one_of("none", "mixup", "cutmix"),
    "augment.mix_alpha": number(0.01, 100),
    # model, loss, optimizer
    "model._target_": TEXT,
    "model._convert_": TEXT,
    "model.loss": ANYTHING,
    "model.optimizer": ANYTHING,
    "model.source": one_of("torchvision", "timm"),
    "model.arch": TEXT,
    "model.weights": TEXT.or_null(),
    "model.head.kind": one_of("concat_pool", "linear"),
    "model.head.hidden": integer(1),
    "model.head.dropout": number(0, 0.99),
    "model.head.normalize": FLAG,
    "model.head.init": one_of("random", "lda"),
    "model.head.shrinkage": number(0.001, 1),
    "model.frozen_bn": one_of("train", "eval", "always"),
    "model.compile": FLAG,
    "loss._target_": TEXT,
    "loss._convert_": TEXT,
    "loss.label_smoothing": number(0, 0.99),
    "loss.class_weights": list_of(number(0)).or_null(),
    "optimizer._target_": TEXT,
    "optimizer._convert_": TEXT,
    "optimizer._partial_": FLAG,
    "optimizer.lr": positive(),
    "optimizer.betas": list_of(number(0, 0.999999), 2),
    "optimizer.eps": positive(),
    "optimizer.weight_decay": number(0),
    "optimizer.momentum": number(0, 0.999999),
    "optimizer.nesterov": FLAG,
    "optimizer.fused": FLAG.or_null(),
    # recipe
    "recipe._target_": TEXT,
    "recipe.epochs": integer(0),
    "recipe.freeze_epochs": integer(0),
    "recipe.base_lr": positive().or_null(),
    "recipe.lr_mult": positive(),
    "recipe.pct_start": between(0, 1),
    "recipe.div": positive(),
    "recipe.momenta": list_of(number(0, 0.999999), 3),
    "recipe.phases": Rule(lambda value: isinstance(value, list) and bool(value), "a list of phases"),
    # around the training loop
    "lr_finder._target_": TEXT,
    "lr_finder.mode": one_of("report", "apply"),
    "lr_finder.suggestion": one_of("valley", "slide", "steep", "minimum"),
    "lr_finder.start_lr": positive(),
    "lr_finder.end_lr": positive(),
    "lr_finder.num_steps": integer(30),
    "lr_finder.dirpath": TEXT,
    "callbacks.*": ANYTHING,
    "callbacks.progress.bar": one_of("auto", "on", "off"),
    "callbacks.dashboards.images": integer(1),
    "callbacks.checkpoint.mode": one_of("min", "max").or_null(),
    "logger.*": ANYTHING,
    "trainer.*": ANYTHING,
    "trainer.accelerator": TEXT,
    "trainer.devices": either(integer(1), TEXT, list_of(integer(0))),
    "trainer.num_nodes": integer(1),
    "trainer.strategy": TEXT,
    "trainer.precision": one_of("auto", "32-true", "bf16-mixed", "16-mixed"),
    "trainer.accumulate_grad_batches": integer(1),
    "trainer.gradient_clip_val": number(0).or_null(),
    "trainer.max_steps": integer(-1),
    "trainer.limit_train_batches": BATCHES,
    "trainer.limit_val_batches": BATCHES,
    "trainer.log_every_n_steps": integer(1),
    "trainer.num_sanity_val_steps": integer(-1),
    "trainer.deterministic": one_of(True, False, "warn"),
}


def leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of every value below a plain mapping; a list is one value."""
    for key, value in node.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from leaves(value, f"{name}.")
        else:
            yield name, value


def _groups(node: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the dotted key of every mapping below a plain mapping."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield f"{prefix}{key}"
            yield from _groups(value, f"{prefix}{key}.")


def rule_for(key: str) -> Rule | None:
    """Return the rule of a dotted key: its own, else that of the nearest `ancestor.*`."""
    if key in RULES:
        return RULES[key]
    parts = key.split(".")
    ancestors = (".".join(parts[:depth]) + ".*" for depth in range(len(parts) - 1, 0, -1))
    return next((RULES[name] for name in ancestors if name in RULES), None)


def check(cfg: DictConfig) -> None:
    """Check every value of a composed configuration.

    Raises:
        ValueError: For a required key without a value and for a value that its rule does not allow.
    """
    raw: dict[str, Any] = OmegaConf.to_container(cfg)  # type: ignore[assignment]
    for key, written in leaves(raw):
        if written == "???":
            raise ValueError(f"{key} is required: add {key}=VALUE to the command")
    for key in sorted(RULES.keys() & _groups(raw)):
        if not RULES[key].allows({}):
            raise ValueError(f"{key} has keys below it, which is not allowed: {RULES[key].allowed}")
    for key, _ in leaves(raw):
        value = OmegaConf.select(cfg, key)
        rule = rule_for(key)
        if isinstance(value, DictConfig) or rule is None:
            continue  # a group that is named here is checked where it stands
        plain = OmegaConf.to_container(value) if isinstance(value, ListConfig) else value
        if not rule.allows(plain):
            raise ValueError(f"{key}={plain!r} is not allowed: {rule.allowed}")
    checkpoint = OmegaConf.select(cfg, "callbacks.checkpoint")
    if isinstance(checkpoint, DictConfig) and checkpoint.get("monitor"):
        checkpoint_mode(checkpoint.monitor, checkpoint.get("mode"))
