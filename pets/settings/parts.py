"""Names that settings and code share: the parts of a split, the layer groups, the tasks."""

from typing import Literal, get_args

Part = Literal["train", "valid", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
"""The parts of a split, in the order in which they are listed."""

GROUPS = ("early", "late", "head")
"""The layer groups, in the order of the forward pass."""

TASKS = {
    "fit": "train, then evaluate; ckpt_path= resumes",
    "find_lr": "the LR range test alone",
    "inspect": "look before training: shapes step by step, the first batch",
    "evaluate": "tables and pictures of a checkpoint on one part of the data",
    "predict": "labels for the images of source=",
    "export": "a folder that predicts on any machine",
    "serve": "a page in the browser: drop photographs, correct labels",
    "check": "what is broken, odd, doubled or doubtful in the data",
}
"""What `task=` can name."""
