"""The command line: `pets key=value ...`, which is also `python -m pets` and, in a checkout, `python train.py`.

`pets --help` lists what can be said; `--config-dir=FOLDER` adds configuration files of your own.
"""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from pets import cli


def config_dir() -> Path:
    """Return the folder with config.yaml: a wheel has it inside the package, a checkout beside it."""
    package = Path(__file__).resolve().parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="config")
def run(cfg: DictConfig) -> float | None:
    """Run the task that the config names; return the metric that a sweep optimizes."""
    return cli.run(cfg)


def main() -> None:
    """Run the command line of this process."""
    sys.argv = cli.arguments(sys.argv)
    run()


if __name__ == "__main__":
    main()
