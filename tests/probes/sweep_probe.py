"""Writes down what a process holds after each job of a sweep; a test starts it through the configuration."""

import json
import os
import threading
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class Probe(Callback):
    """Appends a line of JSON to `holds.jsonl` in the sweep's folder."""

    def on_job_end(self, config: DictConfig, job_return: Any, **kwargs: Any) -> None:
        from matplotlib import pyplot

        pages = int(Path("/proc/self/statm").read_text().split()[1])
        holds = {
            "files": len(os.listdir("/proc/self/fd")),
            "threads": threading.active_count(),
            "figures": len(pyplot.get_fignums()),
            "megabytes": round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20),
        }
        with (Path(config.hydra.sweep.dir) / "holds.jsonl").open("a") as file:
            file.write(json.dumps(holds) + "\n")
