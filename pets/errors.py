"""User errors: which exceptions count as such, and the one line that says what to change."""

import re


class UserError(ValueError):
    """A wrong command, file or installation; the message is one line that names the key or file and what is allowed."""


_MEMORY = (
    "out of memory: lower data.batch_size, augment.size, data.presize.size or data.num_workers, "
    "or set trainer.precision=bf16-mixed"
)
_ADVICE = {
    "out of memory": _MEMORY,
    "can't allocate memory": _MEMORY,
    "shared memory": "/dev/shm is full: give the container more (docker run --shm-size=2g) or lower data.num_workers",
    "No working C++ compiler": "model.compile=true needs a C++ compiler on this machine: install one, set CXX, or set "
    "model.compile=false",
    "Expected more than 1 value per channel": "data.batch_size=1 is too small: batch norm compares the images of a "
    "batch, so it takes 2 or more",
}
"""What to say instead of a message of torch that contains these words."""


def advice(error: BaseException) -> str | None:
    """Return what to change in the command, for an error of torch that a command can cause; else None."""
    if isinstance(error, MemoryError):
        return _MEMORY
    return next((says for words, says in _ADVICE.items() if words in str(error)), None)


def is_user_error(error: BaseException) -> bool:
    """Tell whether a person can mend an error; of Hydra's wrapping, the cause decides.

    Anything else, such as a shape error inside NumPy, is a bug and keeps its traceback.
    """
    from hydra.errors import HydraException, InstantiationException  # whoever only predicts does without Hydra
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        # A wrong argument of a class that the command names is the command's fault.
        return is_user_error(error.__cause__) or isinstance(error.__cause__, TypeError | ValueError | ImportError)
    return isinstance(error, UserError | OSError | HydraException | OmegaConfBaseException)


def explain(error: BaseException) -> str:
    """Return the one line that a person needs of an error, without Hydra's wrapping: the key, then its cause."""
    from hydra.errors import InstantiationException

    key = ""
    while isinstance(error, InstantiationException):
        named = re.search(r"^full_key: (\S+)$", str(error), re.MULTILINE)
        key = named[1] if named else key
        if error.__cause__ is None:
            break
        error = error.__cause__
    lines = str(error).splitlines() or [type(error).__name__]
    text = " ".join(" ".join(lines[: 2 if lines[0].endswith(":") else 1]).split())
    return text if not key or isinstance(error, UserError) else f"{key}: {text}"
