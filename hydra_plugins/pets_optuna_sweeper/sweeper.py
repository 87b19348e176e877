"""Bayesian search for `--multirun`: Optuna is asked for jobs and told their results.

hydra-optuna-sweeper 1.3 requires Optuna 2, and 1.4 a Hydra that is not released. No storage is needed to go on with a
sweep: jobs that have ended are read from their folders, and the same seed asks for the same jobs again.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from pets.settings.metrics import direction

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution


class OptunaSweeper(Sweeper):
    """Run `n_trials` jobs, each chosen by TPE from those before it; the leaderboard shows the best.

    Whether a low or a high `optimized_metric` is better stands in `pets.settings.metrics`.

    Args:
        n_trials: Jobs in all.
        n_jobs: Jobs asked for before their results are told.
        seed: Seed of the sampler.
        params: Ranges by key, in Hydra's grammar of overrides.

    Raises:
        ValueError: A number of jobs is below 1.
    """

    def __init__(self, n_trials: int, n_jobs: int, seed: int, params: Mapping[str, str]) -> None:
        for key, value in (("n_trials", n_trials), ("n_jobs", n_jobs)):
            if value < 1:
                raise ValueError(f"hydra.sweeper.{key}={value} must be at least 1")
        self.n_trials = n_trials
        self.n_jobs = n_jobs
        self.seed = seed
        self.params = params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands over."""
        self.hydra_context = hydra_context
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run the search; `arguments` are the overrides of the command line."""
        import optuna

        assert self.config is not None
        assert self.hydra_context is not None
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        said = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        fixed, space = split(parser.parse_overrides(said))
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=self.seed, constant_liar=self.n_jobs > 1)
        towards: Literal["minimize", "maximize"] = (
            "minimize" if direction(self.config.optimized_metric) == "min" else "maximize"
        )
        study = optuna.create_study(direction=towards, sampler=sampler)
        for first in range(0, self.n_trials, self.n_jobs):
            self._batch(study, fixed, space, first, min(self.n_jobs, self.n_trials - first))

    def _batch(
        self, study: "Study", fixed: list[str], space: dict[str, "BaseDistribution"], first: int, size: int
    ) -> None:
        """Ask for `size` jobs, run them, and tell their results; a failed job is told as one."""
        from optuna.trial import TrialState

        assert self.launcher is not None
        trials = [study.ask(space) for _ in range(size)]
        jobs = [[*fixed, *(f"{key}={value}" for key, value in trial.params.items())] for trial in trials]
        self.validate_batch_is_legal(jobs)
        for trial, job in zip(trials, self.launcher.launch(jobs, initial_job_idx=first), strict=True):
            value = job.return_value
            if value is None:
                raise ValueError("hydra/sweeper=optuna needs a task with a metric, such as task=fit")
            failed = math.isnan(value)
            study.tell(trial, None if failed else value, state=TrialState.FAIL if failed else None)


def split(overrides: Iterable[Override]) -> tuple[list[str], dict[str, "BaseDistribution"]]:
    """Return the overrides that all jobs share and the ranges of the others; of two for one key, the later counts."""
    said = {override.get_key_element(): override for override in overrides}
    fixed = [f"{key}={o.get_value_element_as_str()}" for key, o in said.items() if not o.is_sweep_override()]
    return fixed, {key: distribution(override) for key, override in said.items() if override.is_sweep_override()}


def distribution(override: Override) -> "BaseDistribution":
    """Return Optuna's distribution of a range in Hydra's grammar."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value: Any = override.value()
    step: Any = None
    if isinstance(value, RangeSweep) and not value.shuffle:
        steps: list[Any] = list(override.sweep_iterator())
        low, high, step = min(steps), max(steps), abs(value.step)
    elif isinstance(value, IntervalSweep):
        low, high = value.start, value.end
    else:
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    log_scale = "log" in value.tags
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log_scale, step=step or 1)
    return FloatDistribution(float(low), float(high), log=log_scale, step=step)
