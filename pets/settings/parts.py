"""Names that settings and code share: the parts of a split, the layer groups, the tasks."""

from typing import Literal, get_args

Part = Literal["train", "valid", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
"""The parts of a split, in the order in which they are listed."""

MOST_GROUPS = 64
"""Layer groups that a network can be divided into."""


def layer_group_names(count: int) -> tuple[str, ...]:
    """Return the names of so many layer groups, in the order of the forward pass; the last is the head's alone."""
    if count == 3:
        return ("early", "late", "head")
    return (*(f"body{number}" for number in range(1, count)), "head")


GROUPS = layer_group_names(3)
"""The layer groups of a network that is not divided further."""

TASKS = {
    "fit": "train, then evaluate; ckpt_path= resumes",
    "find_lr": "the LR range test alone",
    "inspect": "look before training: shapes step by step, the first batch",
    "evaluate": "tables and pictures of a checkpoint on one part of the data",
    "predict": "labels for the images of source=",
    "export": "a folder that predicts on any machine",
    "serve": "a page in the browser: drop photographs, correct labels",
    "check": "what is broken, odd, doubled or doubtful in the data",
    "learning_curve": "what twice as many photographs would bring",
}
"""What `task=` can name."""
