"""`python train.py --help`: every key with its sentence, its range and its value here; `--help=data`: one group."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from pets.errors import UserError
from pets.settings.config import declared_nodes
from pets.settings.declare import allowed, fields, nearest, sentences
from pets.settings.parts import TASKS

INTRODUCTION = """\
pets: fine-grained image classification by transfer learning

  python train.py experiment=demo                             the whole story on a drawn set, offline, in minutes
  python train.py                                             Oxford-IIIt Pet, resnet34, fine_tune(2)
  python train.py data=folder data.root=~/photos trainer=gpu  your own photographs, one folder a class
  python train.py task=inspect | task=find_lr                 look before you train
  python train.py task=evaluate ckpt_path=last                the run that saved last; any task, nothing else to type
  python train.py -m model=resnet18,resnet34                  a sweep
  tensorboard --logdir outputs
""".replace("IIIt", "IIIT")
WIDTH = 100


def help_text(raw: Mapping[str, Any], files: Mapping[str, list[str]], group: str | None = None) -> str:
    """Return the help.

    Args:
        raw: The composed configuration, plain.
        files: The files of each configuration group.
        group: One group such as "data"; None for all.

    Raises:
        UserError: There is no such group.
    """
    groups = {name: name for name, value in raw.items() if isinstance(value, Mapping)}
    if group is not None and group not in groups:
        raise UserError(f"--help={group}: no such group{nearest(group, groups)}; there are {', '.join(groups)}")
    parts = [] if group else [INTRODUCTION, "Tasks (task=NAME)", *_rows(TASKS)]
    chosen = {name: names for name, names in files.items() if group in (None, name)}
    if chosen:
        parts += ["", "Files of the groups (group=NAME)", *_rows({k: ", ".join(v) for k, v in chosen.items()})]
    for prefix, lines in _sections(raw):
        if group is None or prefix.split(".")[0] == group:
            parts += ["", prefix or "At the top", *lines]
    return "\n".join(parts) + "\n"


def _rows(entries: Mapping[str, str]) -> list[str]:
    width = max(map(len, entries)) + 2
    return [
        line
        for name, text in entries.items()
        for line in textwrap.wrap(text, WIDTH, initial_indent=f"  {name:<{width}}", subsequent_indent=" " * (width + 2))
    ]


def _sections(raw: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Yield (group, lines) of each declared group: the key with its value, then its sentence and its range."""
    for prefix, declaration, node in declared_nodes(raw):
        lines, said = [], sentences(declaration)
        for name, field in fields(declaration).items():
            if name in node:
                key = f"{prefix}.{name}" if prefix else name
                says, range_ = said[name], allowed(field)
                lines.append(f"  {key}={_shown(node[name])}")
                lines += textwrap.wrap(
                    says if range_ in says or range_ == "a text" else f"{says} [{range_}]",
                    WIDTH,
                    initial_indent=" " * 6,
                    subsequent_indent=" " * 6,
                )
        if lines:
            yield prefix, lines


def _shown(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
