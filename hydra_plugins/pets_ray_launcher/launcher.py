"""Jobs of a `--multirun` as tasks of a Ray cluster, on Ray's own API.

hydra-ray-launcher 1.2 cannot join a running cluster: it always passes `object_store_memory`, which Ray refuses there.
It also requires cloudpickle below 3, which today's joblib does not work with.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, configure_log, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict


class RayLauncher(Launcher):
    """Run every job as a task; one whose node or process is lost is run again, and resumes at its last checkpoint.

    Args:
        ray: `init`, the arguments of `ray.init`, and `remote`, those of `ray.remote` for every job.
    """

    def __init__(self, ray: Mapping[str, Mapping[str, Any]]) -> None:
        self.options = ray

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands over."""
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs and return their results, in the order of `job_overrides`."""
        import ray

        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        Path(self.config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
        with ray.init(**self.options["init"]):
            task = ray.remote(**self.options["remote"])(_run)
            shared = (self.hydra_context, self.task_function, self.config, Singleton.get_state(), os.getcwd())
            jobs = [
                task.remote(number, list(job), *shared) for number, job in enumerate(job_overrides, initial_job_idx)
            ]
            results: list[JobReturn] = ray.get(jobs)
        return results


def _run(
    number: int,
    overrides: list[str],
    hydra_context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
    singletons: dict[Any, Any],
    folder: str,
) -> JobReturn:
    """Run one job in a process of Ray, in the folder that the command was typed in."""
    os.chdir(folder)
    setup_globals()
    Singleton.set_state(singletons)
    job = hydra_context.config_loader.load_sweep_config(config, overrides)
    with open_dict(job):
        job.hydra.job.id = f"{job.hydra.job.name}_{number}"
        job.hydra.job.num = number
    HydraConfig.instance().set_config(job)
    return run_job(
        hydra_context=hydra_context,
        task_function=task_function,
        config=job,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
