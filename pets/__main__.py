"""The command line: `pets key=value ...`, which is also `python -m pets` and, in a checkout, `python train.py`.

`pets --help` lists what can be said; `--config-dir=FOLDER` adds configuration files of your own.
"""

import sys
from contextlib import ExitStack

import hydra
from omegaconf import DictConfig

from pets import cli
from pets.settings.config import config_dir


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="config")
def run(cfg: DictConfig) -> float | None:
    """Run the task that the config names; return the metric that a sweep optimizes."""
    return cli.run(cfg)


def main() -> None:
    """Run the command line of this process."""
    with ExitStack() as held:
        sys.argv = cli.prepare(sys.argv, held)
        run()


if __name__ == "__main__":
    main()
