"""A job of a sweep is done once, gets its share of the cores, and its failure is recorded and not raised."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from pets.sweep import jobs
from pets.sweep.record import Job, read_job, write_job

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture
def composed(tmp_path: Path) -> Iterator[Callable[..., DictConfig]]:
    """A function that composes a job whose folder is `tmp_path`, as Hydra does before it calls the program."""

    def compose_job(*overrides: str) -> DictConfig:
        own = [f"hydra.runtime.output_dir={tmp_path}", "hydra.job.num=0", f"run_dir={tmp_path}"]
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = compose("config", overrides=[*overrides, *own], return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        return cfg

    yield compose_job
    HydraConfig.instance().cfg = None


def noting(seen: list[Any], what: Callable[[DictConfig], Any]) -> Callable[[DictConfig], float]:
    """A task that notes something of its configuration."""

    def task(cfg: DictConfig) -> float:
        seen.append(what(cfg))
        return 0.1

    return task


def test_a_job_leaves_its_record_and_is_then_read(composed: Callable[..., DictConfig], tmp_path: Path) -> None:
    assert jobs.run(composed("seed=3"), lambda cfg: 0.1 * cfg.seed) == pytest.approx(0.3)
    record = json.loads((tmp_path / "job.json").read_text())
    assert record["overrides"][0] == "seed=3"
    assert record["metric"] == "valid/error_rate"
    assert jobs.run(composed("seed=3"), lambda cfg: pytest.fail("run again")) == pytest.approx(0.3)


def test_the_result_of_other_overrides_is_neither_taken_nor_replaced(
    composed: Callable[..., DictConfig], tmp_path: Path
) -> None:
    jobs.run(composed("seed=3"), lambda cfg: 0.5)
    with pytest.raises(ValueError, match=r"holds the result of `seed=3 .*choose another hydra\.sweep\.dir"):
        jobs.run(composed("seed=4"), lambda cfg: 0.1)
    earlier = read_job(tmp_path)
    assert earlier is not None
    assert earlier.value == 0.5


def test_a_users_error_is_recorded_and_printed_as_one_line(
    composed: Callable[..., DictConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def task(cfg: DictConfig) -> float:
        raise FileNotFoundError("data.root=nowhere does not exist")

    assert math.isnan(jobs.run(composed(), task) or 0.0)
    record = read_job(tmp_path)
    assert record is not None
    assert record.error == "data.root=nowhere does not exist"
    assert capsys.readouterr().err == "error: job 0: data.root=nowhere does not exist\n"


def test_a_bug_is_recorded_with_its_type_and_keeps_its_traceback(
    composed: Callable[..., DictConfig], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def task(cfg: DictConfig) -> float:
        raise TypeError("not callable")

    jobs.run(composed(), task)
    record = read_job(tmp_path)
    assert record is not None
    assert record.error == "TypeError: not callable"
    assert "Traceback" in caplog.text


def test_a_failed_job_starts_anew(composed: Callable[..., DictConfig], tmp_path: Path) -> None:
    write_job(tmp_path, Job((), "valid/error_rate", None, 1.0, "disk full"))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    (tmp_path / "events.out.tfevents.1").touch()
    seen: list[Any] = []
    jobs.run(composed(), noting(seen, lambda cfg: cfg.ckpt_path))
    assert seen == [None]
    assert not (tmp_path / "checkpoints").exists()
    assert not list(tmp_path.glob("events*"))


def test_an_interrupted_job_goes_on_from_its_last_checkpoint(
    composed: Callable[..., DictConfig], tmp_path: Path
) -> None:
    (tmp_path / "checkpoints").mkdir()
    last = tmp_path / "checkpoints" / "last.ckpt"
    last.touch()
    seen: list[Any] = []
    jobs.run(composed(), noting(seen, lambda cfg: cfg.ckpt_path))
    assert seen == [str(last)]


@pytest.mark.parametrize(
    ("n_cores", "n_jobs", "workers"), [(16, 4, 3), (16, 1, 8), (2, 2, 0), (2, 4, 0), (64, 2, 8), (7, 2, 2)]
)
def test_jobs_and_their_workers_share_the_cores(n_cores: int, n_jobs: int, workers: int) -> None:
    assert jobs.workers_per_job(n_cores, n_jobs) == workers
    if n_jobs <= n_cores and n_jobs > 1:
        assert n_jobs * (workers + 1) <= n_cores


def test_jobs_at_once_are_counted_as_joblib_counts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pets.machine.available_cores", lambda: 8)
    counts = [jobs.jobs_at_once(OmegaConf.create({"n_jobs": n})) for n in (3, -1, -2, -100)]
    assert counts == [3, 8, 7, 1]
    assert jobs.jobs_at_once(OmegaConf.create({"_target_": "basic"})) == 1


@pytest.mark.parametrize(("chosen", "expected"), [("null", 3), ("5", 5)])
def test_workers_are_chosen_for_the_person_who_has_not(
    chosen: str, expected: int, composed: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pets.machine.available_cores", lambda: 8)
    cfg = composed(f"data.num_workers={chosen}", "+hydra.launcher.n_jobs=2")
    seen: list[Any] = []
    jobs.run(cfg, noting(seen, lambda cfg: cfg.data.num_workers))
    assert seen == [expected]


@pytest.mark.parametrize(
    ("overrides", "environment", "refused"),
    [
        (["trainer=ddp_cpu"], {}, True),
        (["trainer=ddp"], {}, True),
        (["trainer=ddp_cpu", "trainer.strategy=ddp_fork_find_unused_parameters_true"], {}, True),
        (["trainer=ddp_cpu", "trainer.strategy=ddp_spawn_find_unused_parameters_true"], {}, False),
        (["trainer=ddp_cpu"], {"SLURM_NTASKS": "2"}, False),
        (["trainer.devices=[1]"], {}, False),
        ([], {}, False),
    ],
)
def test_ddp_that_would_start_the_sweep_again_is_refused(
    overrides: list[str],
    environment: dict[str, str],
    refused: bool,
    composed: Callable[..., DictConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    jobs.run(composed(*overrides), lambda cfg: 0.1)
    record = read_job(tmp_path)
    assert record is not None
    assert (record.error is not None) == refused
    if record.error:
        assert "trainer.strategy=ddp_spawn" in record.error


def test_one_process_of_a_slurm_job_writes_the_record(
    composed: Callable[..., DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_PROCID", "1")
    jobs.run(composed(), lambda cfg: 0.1)
    assert read_job(tmp_path) is None
