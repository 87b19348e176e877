"""What a command takes up from a run: the same for every task, typed values on top, nothing a stranger could use."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from pets.errors import UserError
from pets.runs import resume, saved
from pets.runs.compose import Conf
from pets.runs.overrides import as_typed, key, parse, values
from pets.runs.run_folder import RunFolder

CONF = Path(__file__).parents[2] / "conf"
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("[!_]*.yaml"))
NEEDS = {"few_shot": ["data.root=photos", "model.arch=resnet10t"]}


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make_run(folder: Path, *command: str, conf: Conf | None = None) -> RunFolder:
    """Make a folder as a run of a command leaves it."""
    run = RunFolder(folder)
    run.checkpoints.mkdir(parents=True)
    run.last.touch()
    cfg = (conf or Conf()).compose([*map(as_typed, command), f"hydra.run.dir={folder}"])
    hydra = OmegaConf.create({"hydra": OmegaConf.to_container(cfg.hydra)})
    hydra.hydra.runtime.cwd = str(Path.cwd())
    HydraConfig.instance().cfg = hydra  # type: ignore[assignment]
    try:
        saved.remember(
            run,
            OmegaConf.masked_copy(cfg, [str(name) for name in cfg if name != "hydra"]),
            list(map(as_typed, command)),
        )
    finally:
        HydraConfig.instance().cfg = None
    return run


def completed(*typed: str, conf: Conf | None = None, **options: Any) -> list[str]:
    conf = conf or Conf()
    return resume.complete(list(map(as_typed, typed)), conf.compose, trusted=conf.targets(), **options)


def composed(*typed: str, conf: Conf | None = None) -> DictConfig:
    return (conf or Conf()).compose(completed(*typed, conf=conf))


def plain(cfg: DictConfig) -> dict[str, Any]:
    """Everything that decides what a run does, resolved, without the run's own folder."""
    cfg = OmegaConf.masked_copy(cfg, [str(name) for name in cfg if name != "hydra"])
    cfg.run_dir = "run"
    container: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    return {name: node for name, node in container.items() if name != "ckpt_path"}


def test_a_run_is_taken_up_with_its_command_and_what_is_typed_wins(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "experiment=demo", "data.batch_size=4", "~callbacks.dashboards", "seed=1")
    cfg = composed(f"ckpt_path={run.path}", "data.batch_size=8")
    assert (cfg.seed, cfg.data.batch_size, cfg.augment.size) == (1, 8, 80)
    assert "dashboards" not in cfg.callbacks
    assert (cfg.ckpt_path, cfg.hydra.run.dir) == (str(run.last), str(run.path))


@pytest.mark.parametrize("task", ["fit", "evaluate", "predict", "export", "inspect", "find_lr"])
@pytest.mark.parametrize("named", ["last", "folder", "file"])
def test_the_three_names_mean_the_same_for_every_task(tmp_path: Path, task: str, named: str) -> None:
    run = make_run(tmp_path / "outputs" / "day" / "run", "data=folder", "data.root=photos", "seed=3", "trainer=cpu")
    value = {"last": "last", "folder": str(run.path), "file": str(run.last)}[named]
    cfg = composed(f"task={task}", f"ckpt_path={value}")
    assert (cfg.task, cfg.seed, cfg.data.root, cfg.trainer.accelerator) == (task, 3, "photos", "cpu")
    assert cfg.ckpt_path == str(run.last)
    # A fit continues where the run is, unless one file of it was named; other tasks get a folder of their own.
    assert (cfg.hydra.run.dir == str(run.path)) == (task == "fit" and named != "file")


def test_check_takes_up_the_run_whose_predictions_it_looks_at(tmp_path: Path) -> None:
    run = make_run(tmp_path / "outputs" / "run", "data=folder", "data.root=photos")
    run.part("valid").mkdir()
    (run.part("valid") / "predictions.npz").touch()
    for value in ("last", run.path, run.part("valid")):
        cfg = composed("task=check", f"check.predictions={value}")
        assert (cfg.data.root, cfg.check.predictions) == ("photos", str(run.part("valid")))


@pytest.mark.parametrize("experiment", EXPERIMENTS)
@pytest.mark.parametrize("how", ["same", "moved", "elsewhere", "photographs moved", "new key", "new default"])
def test_every_experiment_resumes(tmp_path: Path, experiment: str, how: str) -> None:
    """The reasons for which a run could not be resumed in 0.1, for every experiment: an interpolation inside a list
    (`best`), a moved folder, a file in another folder, moved photographs, a key or default that a release changed."""
    own = tmp_path / "conf"
    shutil.copytree(CONF, own)
    command = [f"experiment={experiment}", *NEEDS.get(experiment, [])]
    conf = Conf()
    run = make_run(tmp_path / "run", *command, conf=conf)
    before, typed = plain(conf.compose(command)), [f"ckpt_path={run.path}"]
    if how == "moved":
        run = RunFolder(shutil.move(run.path, tmp_path / "another place"))
        typed = [f"ckpt_path={run.path}"]
    elif how == "elsewhere":
        typed = [f"ckpt_path={run.last}", f"hydra.run.dir={tmp_path / 'new'}"]
    elif how == "photographs moved":
        typed.append("data.root=new place")
        before["data"]["root"] = "new place"
        for node in (before["data"]["source"], before["data"]["labeller"].get("table") or {}):
            if "root" in node:
                node["root"] = "new place"
    elif how in ("new key", "new default"):
        page = own / "optimizer" / "adamw.yaml"
        new = {
            "new key": ("lr: 1e-3", "lr: 1e-3\namsgrad: false"),
            "new default": ("weight_decay: 0.01", "weight_decay: 0.5"),
        }
        page.write_text(page.read_text().replace(*new[how]))
        conf = Conf()
        conf.folders = [own]
        if how == "new key":
            for group in ("optimizer", "model"):
                node = before[group] if group == "optimizer" else before[group]["optimizer"]
                node["amsgrad"] = False
    after = plain(conf.compose(completed(*typed, conf=conf)))
    assert after == before


def test_keys_that_are_newer_than_the_run_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = make_run(tmp_path / "run", "experiment=demo")
    page = run.hydra / "config.yaml"
    page.write_text("\n".join(line for line in page.read_text().splitlines() if "supersample" not in line))
    completed(f"ckpt_path={run.path}")
    assert f"the run of {run.path} knew no augment.supersample: it is 1" in caplog.text


def test_a_typed_group_takes_the_place_of_what_was_typed_in_it(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "data=demo", "trainer=cpu", "trainer.log_every_n_steps=1")
    cfg = composed(f"ckpt_path={run.path}", "trainer=gpu")
    assert (cfg.trainer.accelerator, cfg.trainer.log_every_n_steps) == ("gpu", 5)


def test_last_is_the_run_that_saved_last_or_the_one_that_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no run below .*outputs has a checkpoint"):
        completed("ckpt_path=last")
    runs = [make_run(tmp_path / "outputs" / "day" / name, "data=demo", f"seed={name}") for name in ("2", "1")]
    for age, run in enumerate(reversed(runs)):
        os.utime(run.last, (1000 - age, 1000 - age))
    assert composed("ckpt_path=last").seed == 1
    assert composed("ckpt_path=last", "hydra.run.dir=outputs/day/2").seed == 2


def test_one_command_starts_a_run_and_resumes_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    command = ["data=demo", "seed=1", f"hydra.run.dir={tmp_path / 'run'}", "ckpt_path=last"]
    assert completed(*command) == command[:-1]
    assert "has no checkpoint yet, the run starts" in caplog.text
    make_run(tmp_path / "run", "data=demo", "seed=1")
    assert values(completed(*command))["ckpt_path"] == str(tmp_path / "run" / "checkpoints" / "last.ckpt")


def test_what_names_nothing_is_an_error(tmp_path: Path) -> None:
    make_run(tmp_path / "run", "data=demo")
    with pytest.raises(FileNotFoundError, match=r"^ckpt_path=gone: no such file or folder"):
        completed("ckpt_path=gone")
    with pytest.raises(FileNotFoundError, match=r"holds no checkpoints/last.ckpt"):
        completed(f"ckpt_path={tmp_path}")
    with pytest.raises(UserError, match="one by one"):
        completed("ckpt_path=run", multirun=True)


def test_without_a_configuration_there_is_nothing_to_resume(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "data=demo")
    shutil.rmtree(run.hydra)
    with pytest.raises(UserError, match="with a saved configuration, so there is nothing to resume"):
        completed(f"ckpt_path={run.path}")
    assert values(completed("task=predict", f"ckpt_path={run.path}"))["ckpt_path"] == str(run.last)


@pytest.mark.parametrize(
    "change",
    [
        "seed=1",
        "model.head.dropout=0.1",
        "data.split.seed=1",
        "optimizer=sgd",
        "loss=one_vs_rest",
        "data.classes=[a,b]",
    ],
)
def test_another_run_is_not_a_resumed_one_even_if_typed(tmp_path: Path, change: str) -> None:
    run = make_run(tmp_path / "run", "data=demo")
    with pytest.raises(UserError, match="cannot be resumed: the run of"):
        completed(f"ckpt_path={run.path}", change)


def test_what_may_differ_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = make_run(tmp_path / "run", "data=demo", "recipe.epochs=3")
    completed(f"ckpt_path={run.path}", "recipe.epochs=5", "model.compile=true")
    assert "resumed with model.compile=True instead of False, recipe.epochs=5 instead of 3" in caplog.text
    caplog.clear()
    completed(f"ckpt_path={run.path}")
    assert not caplog.records


def test_a_relative_path_means_the_folder_in_which_the_run_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos").mkdir()
    run = make_run(tmp_path / "run", "data=folder", "data.root=photos")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert composed("task=evaluate", f"ckpt_path={run.path}").data.root == str(tmp_path / "photos")


STRANGERS: dict[str, object] = {
    "a class in an override": ["+callbacks.x={_target_: os.system}"],
    "a resolver that builds a class": [
        "+callbacks.x=${oc.create:${oc.decode:'{${oc.env:NOPE,_tar}get_: torch.load, f: x}'}}"
    ],
    "a resolver that reads the environment": ["export.licence=${oc.env:HOME}"],
    "a group from elsewhere": ["experiment=../../elsewhere"],
    "an absolute group": ["experiment=/tmp/elsewhere"],
    "a function in the place of a class of ours": ["callbacks.progress._target_=os.getcwd"],
    "a class among the steps": ["augment.steps=[{_target_: os.system, command: touch ran}]"],
    "a class in a setting of a step of ours": [
        "augment.steps=[{_target_: pets.augment.erasing.RandomErasing, p: {_target_: os.getcwd}}]"
    ],
    "arguments by place of a step of ours": [
        "augment.steps=[{_target_: pets.augment.erasing.RandomErasing, _args_: [1]}]"
    ],
    "no list": {"a": 1},
    "a mapping as an entry": "- seed: 1\n",
    "a list as an entry": "- [seed=1]\n",
    "no YAML": "\t- broken",
    "an object of Python": "!!python/object/apply:os.system [touch ran]",
}
"""Texts or values of overrides.yaml."""


@pytest.mark.parametrize("kind", STRANGERS)
def test_a_strangers_overrides_run_nothing(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path / "run", "data=demo")
    content = STRANGERS[kind]
    (run.hydra / "overrides.yaml").write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    for task in ("fit", "evaluate"):
        with pytest.raises(UserError, match=r"overrides\.yaml"):
            completed(f"task={task}", f"ckpt_path={run.path}")
    assert not Path("ran").exists()


def test_a_run_folder_adds_no_place_where_configs_are_looked_for(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "data=demo")
    (run.hydra / "overrides.yaml").write_text(yaml.safe_dump(["data=demo", f"hydra.searchpath=[file://{tmp_path}]"]))
    for task in ("fit", "evaluate"):
        assert not any("searchpath" in word for word in completed(f"task={task}", f"ckpt_path={run.path}"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("export.licence", "${oc.env:HOME}"),
        ("model.arch", "${oc.create:{_target_:os.system}}"),
        ("data.classes", [{"_target_": "os.system"}]),
        ("augment.steps", [{"_target_": "os.system"}]),
        ("augment.steps", [{"_target_": "pets.augment.erasing.RandomErasing", "p": {"_target_": "os.getcwd"}}]),
    ],
)
def test_a_strangers_configuration_runs_nothing(tmp_path: Path, key: str, value: object) -> None:
    run = make_run(tmp_path / "run", "data=demo")
    content = yaml.safe_load((run.hydra / "config.yaml").read_text())
    group, name = key.split(".")
    content[group][name] = value
    (run.hydra / "config.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=rf"config\.yaml: {key}: .*type {key}= again"):
        completed("task=evaluate", f"ckpt_path={run.path}")
    assert composed("task=evaluate", f"ckpt_path={run.path}", f"{key}=null").task == "evaluate"


def test_a_strangers_configuration_says_nowhere_to_write(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "data=demo", "export.folder=/home/me/precious")
    path = run.hydra / "config.yaml"
    content = yaml.safe_load(path.read_text())
    content["run_dir"] = "/home/me/precious"
    content["callbacks"]["checkpoint"]["dirpath"] = "/home/me/precious"
    content["callbacks"]["history"]["path"] = "/home/me/precious"
    content["logger"]["tensorboard"]["save_dir"] = "/home/me/precious"
    content["callbacks"]["history"]["_target_"] = "os.system"
    path.write_text(yaml.safe_dump(content))
    cfg = composed("task=evaluate", f"ckpt_path={run.path}")
    text = OmegaConf.to_yaml(cfg)
    assert "precious" not in text
    assert "os.system" not in text


def test_a_short_file_cannot_hold_a_value_of_any_size(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "data=demo")
    bomb = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    (run.hydra / "config.yaml").write_text(bomb)
    with pytest.raises(UserError, match="is not plain YAML"):
        completed("task=evaluate", f"ckpt_path={run.path}")


def test_a_class_of_ones_own_is_typed_again(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "data=demo", "+callbacks.mine._target_=my.Callback")
    with pytest.raises(UserError, match=r"type callbacks\.mine\._target_= again to allow it"):
        completed(f"ckpt_path={run.path}")
    cfg = composed(f"ckpt_path={run.path}", "+callbacks.mine._target_=my.Callback")
    assert cfg.callbacks.mine["_target_"] == "my.Callback"


STEP = "augment.steps=[{_target_: pets.augment.erasing.RandomErasing, p: 0.25}]"


@pytest.mark.parametrize("task", ["fit", "evaluate"])
@pytest.mark.parametrize("kept", ["overrides and configuration", "configuration"])
def test_a_step_of_ours_is_not_typed_again(tmp_path: Path, task: str, kept: str) -> None:
    run = make_run(tmp_path / "run", "data=demo", STEP)
    if kept == "configuration":
        (run.hydra / "overrides.yaml").write_text("[data=demo]")
    cfg = composed(f"task={task}", f"ckpt_path={run.path}")
    assert cfg.augment.steps == [{"_target_": "pets.augment.erasing.RandomErasing", "p": 0.25}]


def test_a_step_of_ones_own_is_typed_again(tmp_path: Path) -> None:
    mine = "augment.steps=[{_target_: own.Grey}]"
    run = make_run(tmp_path / "run", "data=demo", mine)
    with pytest.raises(UserError, match=r"type augment\.steps= again to allow it"):
        completed(f"ckpt_path={run.path}")
    assert composed(f"ckpt_path={run.path}", mine).augment.steps == [{"_target_": "own.Grey"}]


def test_a_step_that_a_file_of_ones_own_names_is_not_typed_again(tmp_path: Path) -> None:
    (tmp_path / "own" / "augment").mkdir(parents=True)
    (tmp_path / "own" / "augment" / "mine.yaml").write_text(
        "defaults: [default]\nsteps:\n  - _target_: own.Grey\n    p: 0.1\n"
    )
    conf = Conf(str(tmp_path / "own"))
    run = make_run(tmp_path / "run", "data=demo", "augment=mine", conf=conf)
    assert composed(f"ckpt_path={run.path}", conf=conf).augment.steps[0].p == 0.1
    with pytest.raises(UserError, match="augment=mine is not allowed"):
        completed(f"ckpt_path={run.path}")


def test_the_command_of_a_resumed_run_is_the_next_ones(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "data=demo", "recipe.epochs=3")
    command = completed(f"ckpt_path={run.path}", "recipe.epochs=5")
    again = make_run(tmp_path / "again", *[text for text in command if not text.startswith(("hydra", "ckpt_path"))])
    assert composed(f"ckpt_path={again.path}").recipe.epochs == 5


def test_hydras_own_keys_of_a_run_are_not_taken(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "data=demo", "hydra.job.chdir=false")
    assert not any("chdir" in text for text in completed("task=evaluate", f"ckpt_path={run.path}"))
    assert all(parse(text) for text in completed("task=evaluate", f"ckpt_path={run.path}"))


@pytest.mark.parametrize(
    "text",
    [
        "logger.tensorboard.version=../../victim",
        "+logger.tensorboard.sub_dir=/tmp/victim",
        "+logger.wandb.entity=stranger",
        "+logger.wandb.settings={base_url: stranger.example}",
        "logger.mlflow.tracking_uri='http://stranger.example'",
        "logger.mlflow.tracking_uri=victim",
    ],
)
def test_a_strangers_folder_sends_a_logger_nowhere(tmp_path: Path, text: str) -> None:
    run = make_run(tmp_path / "run", "data=demo", "logger=many")
    (run.hydra / "overrides.yaml").write_text(yaml.safe_dump(["data=demo", "logger=many", text]))
    name = key(text)
    with pytest.raises(UserError, match=rf"overrides\.yaml has .* elsewhere: type {name}= again to allow it"):
        completed(f"ckpt_path={run.path}")
    assert composed(f"ckpt_path={run.path}", text).task == "fit"


def test_a_strangers_configuration_sends_a_logger_nowhere(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "data=demo", "logger=many")
    content = yaml.safe_load((run.hydra / "config.yaml").read_text())
    content["logger"]["mlflow"]["tracking_uri"] = "http://stranger.example"
    (run.hydra / "config.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=r"config\.yaml: logger\.mlflow\.tracking_uri: .* may send the run elsewhere"):
        completed(f"ckpt_path={run.path}")


def test_the_names_that_a_run_gave_its_loggers_are_kept(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "data=demo", "logger=many", "logger.wandb.project=my pets", "+logger.csv.flush=9")
    cfg = composed(f"ckpt_path={run.path}")
    assert (cfg.logger.wandb.project, cfg.logger.csv.flush) == ("my pets", 9)


def test_a_strangers_folder_opens_no_port(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "data=demo", "serve.host=0.0.0.0", "serve.port=80")
    cfg = composed("task=serve", f"ckpt_path={run.path}")
    assert (cfg.serve.host, cfg.serve.port) == ("127.0.0.1", 8000)


@pytest.mark.parametrize("text", ["--config-dir=x", "-m", "--cfg=job", "", "=3", "+=1", "@=1", "seed", "~", "+~seed=1"])
def test_what_is_no_override_is_one_line_that_names_the_file(tmp_path: Path, text: str) -> None:
    run = make_run(tmp_path / "run", "data=demo")
    (run.hydra / "overrides.yaml").write_text(yaml.safe_dump(["data=demo", text]))
    with pytest.raises(UserError, match=r"overrides\.yaml has .*, which is no override"):
        completed(f"ckpt_path={run.path}")


def test_a_class_in_a_list_is_typed_again(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "data=demo")
    cfg = OmegaConf.create({"trainer": {"plugins": [{"_target_": "os.system"}]}})
    with pytest.raises(UserError, match=r"names code to run, trainer\.plugins\.0\._target_=os\.system"):
        resume._check_code(cfg, ["data.root=/home/os.system/photos"], (), run)
    resume._check_code(cfg, ["+trainer.plugins=[{_target_: os.system}]"], (), run)
