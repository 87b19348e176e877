"""From a composed configuration to a task, with errors for the person who typed the command.

Torch and Lightning are imported only when a checked configuration starts its task.
"""

import logging
import os
import sys

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from pets import rules

log = logging.getLogger("pets")

USER_ERRORS = (ValueError, OSError, ImportError, OmegaConfBaseException, InstantiationException)
"""What a wrong command, file or installation raises; anything else is a bug of ours and keeps its traceback."""


def run(cfg: DictConfig) -> float | None:
    """Check `cfg` and run its task.

    Returns:
        The value of `optimized_metric`, or None for a task that has no metric.

    Raises:
        SystemExit: With code 2 and one line on stderr for a user's error; HYDRA_FULL_ERROR=1 shows the traceback instead.
    """
    try:
        check(cfg)
        from pets import tasks

        return tasks.run(cfg)
    except USER_ERRORS as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        log.debug("stopped by an error", exc_info=True)
        print(f"error: {explain(error)}", file=sys.stderr)
        sys.exit(2)


def check(cfg: DictConfig) -> None:
    """Check the values, then build the parts that need no torch, so that they can check themselves.

    Raises:
        ValueError: For the first key that is missing or wrong.
    """
    rules.check(cfg)
    for node in (cfg.recipe, cfg.data.labeller, cfg.data.split):
        if "_target_" in node and "root" not in node:
            instantiate(node)


def explain(error: Exception) -> str:
    """Return the one line that a person needs of an error: its cause's first line, without Hydra's wrapping."""
    while isinstance(error, InstantiationException) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return " ".join(str(error).split("\n")[0].split()) or type(error).__name__
