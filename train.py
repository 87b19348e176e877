"""The command line: `python train.py key=value ...`; `python train.py --help` lists what can be said."""

import sys
from contextlib import ExitStack

import hydra
from omegaconf import DictConfig

from pets import cli


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> float | None:
    """Run the task that the config names; return the metric that a sweep optimizes."""
    return cli.run(cfg)


if __name__ == "__main__":
    with ExitStack() as held:
        sys.argv = cli.prepare(sys.argv, held)
        main()
