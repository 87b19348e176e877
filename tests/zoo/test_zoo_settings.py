"""Settings whose type and range are right and that fail all the same: one line that names the key, no traceback."""

from collections.abc import Callable

import pytest

BROKEN: dict[str, tuple[list[str], str]] = {
    "unknown accelerator": (["trainer.accelerator=banana"], "trainer: "),
    "no such accelerator here": (["trainer.accelerator=tpu"], "trainer: "),
    "more processes than cores": (["trainer.devices=99"], "trainer.devices=99 is not allowed"),
    "more processes than cores, as a text": (["trainer.devices='99'"], "trainer.devices=99 is not allowed"),
    "devices of another kind": (["trainer.devices=banana"], "trainer: "),
    "unknown strategy": (["trainer.strategy=banana"], "trainer: "),
    "strategy that is not installed": (["trainer.strategy=deepspeed"], "trainer: "),
    "unknown argument of the trainer": (["+trainer.banana=1"], "no key trainer.banana"),
    "unknown architecture": (["model.arch=resnet999"], "model.arch='resnet999'"),
    "unknown architecture of timm": (["model=timm", "model.arch=resnet999"], "model.arch='resnet999'"),
    "unknown weights": (["model.weights=IMAGENET1K_V9"], "model.weights="),
    "weights that are no weights": (["model.weights=/etc/passwd"], "/etc/passwd: cannot be read"),
    "weights that are a folder": (["model.weights=/"], "model.weights="),
    "unknown option of the head": (["+model.head.banana=1"], "model.head.banana"),
    "a class without an image": (["data.classes=[Birman,great_pyrenees,pug,cat]"], "'cat'"),
    "labels that are no class": (["data.classes=[Birman,pug]"], "data.classes: 'great_pyrenees'"),
    "a class twice": (["data.classes=[Birman,great_pyrenees,pug,pug]"], "data.classes names 'pug' more than once"),
    "as many weights as breeds, less one": (["loss.class_weights=[1,1]"], "loss.class_weights: 2 weights for 3"),
    "weights that cancel the loss": (["loss.class_weights=[0,0,0]"], "loss.class_weights"),
    "look-ahead without momentum": (["optimizer=sgd", "optimizer.momentum=0"], "optimizer: "),
    "unknown argument of the optimizer": (["+optimizer.banana=1"], "optimizer: "),
    "one image a batch": (["data.batch_size=1"], "data.batch_size=1"),
    "nothing to validate on": (["data.split.valid_pct=0.001"], "data.split: the part 'valid'"),
    "nothing to train on": (["data.split.valid_pct=0.99"], "data.split: "),
    "parts of more than everything": (["data.split.test_pct=0.9"], "data.split.test_pct=0.9"),
    "lists that the data lack": (["data.split.method=official"], "data.split.method=official"),
    "column that the data lack": (["data.split.method=column"], "data.split.method=column"),
    "split that is none": (["data.split.from=/etc/passwd"], "data.split.from=/etc/passwd is not a split manifest"),
    "split that is not there": (["data.split.from=gone.json"], "gone.json does not exist"),
    "exclusions that are none": (["data.exclude=/etc/passwd"], "data.exclude=/etc/passwd has no column 'file'"),
    "corrections that are none": (["data.relabel=/etc/passwd"], "/etc/passwd has no column 'file'"),
    "root that is a file": (["data.root=/etc/passwd"], "data.root=/etc/passwd is not a folder"),
    "root that is not there": (["data.root=gone"], "gone does not exist"),
    "no epoch": (["recipe.epochs=0", "recipe.freeze_epochs=0"], "recipe.epochs=0"),
    "range test backwards": (
        ["lr_finder=report", "lr_finder.start_lr=1", "lr_finder.end_lr=0.1"],
        "lr_finder.start_lr",
    ),
    "metric that nobody logs": (["callbacks.checkpoint.monitor=banana"], "monitor='banana'"),
    "callback that is a number": (["callbacks.checkpoint=3"], "callbacks.checkpoint=3"),
    "callback without a target": (["+callbacks.mine={mode: min}"], "callbacks.mine="),
    "logger that is a text": (["logger.tensorboard=banana"], "logger.tensorboard"),
    "folder that cannot be made": (["run_dir=/proc/nowhere"], "/proc/nowhere"),
    "folder that is a file": (["run_dir=/etc/passwd"], "/etc/passwd"),
    "unknown module": (["data._target_=banana.Nothing"], "data: Error loading 'banana.Nothing'"),
    "unknown class": (["data.source._target_=pets.data.sources.folder.Nothing"], "data.source: Error loading"),
    "something else than a model": (["model._target_=torch.nn.Linear"], "model: "),
    "something else than a loss": (["loss._target_=torch.nn.CrossEntropyLoss"], "model.loss: "),
    "checkpoint that is not there": (["ckpt_path=gone.ckpt"], "gone.ckpt"),
    "checkpoint that is none": (["ckpt_path=/etc/passwd"], "/etc/passwd"),
    "interpolation of nothing": (["data.root='${gone}'"], "gone"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_setting_that_fails_late_is_one_line(
    kind: str, start: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    overrides, says = BROKEN[kind]
    with pytest.raises(SystemExit) as ended:
        start(*overrides)
    assert ended.value.code == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ")
    assert says in error
    assert len(error.splitlines()) == 1
