"""Checks of values that a file holds: each takes a value and where it stands, and raises a ValueError of one line."""

import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor

from pets.errors import UserError
from pets.escape import printable

Rule = Callable[[Any, str], object]
MOST = 2**53
"""Whole numbers from here on are nobody's count."""
DEPTH = 30
"""Levels of lists in lists."""
SHOWN = 80
_ELSEWHERE = re.compile(r"^[/\\~]|^\w:|://|(^|[/\\])\.\.([/\\]|$)")


def refuse(where: str, value: object, allowed: str) -> NoReturn:
    """Say what was found and what is allowed."""
    found = f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
    if isinstance(value, str | int | float | None):
        found = printable(repr(value))
    raise UserError(f"{where}={found[:SHOWN]} is not allowed: {allowed}")


def text(value: object, where: str) -> str:
    """Check that a value is a text; return the start of it for a message."""
    if not isinstance(value, str):
        refuse(where, value, "a text")
    return printable(value)[:SHOWN]


def mapping(value: object, where: str) -> None:
    """Check that a value is a dictionary whose keys are texts."""
    if not isinstance(value, dict):
        refuse(where, value, "keys with values")
    for key in value:
        text(key, f"a key of {where}")


def has(value: Any, keys: Sequence[str], where: str) -> None:
    """Check that a value is a dictionary with these keys, and perhaps others."""
    mapping(value, where)
    for key in keys:
        if key not in value:
            raise UserError(f"{where}.{key} is missing")


def only(value: Any, keys: Sequence[str], where: str) -> None:
    """Check that a value is a dictionary with these keys and no others."""
    has(value, keys, where)
    for key in value.keys() - set(keys):
        refuse(f"{where}.{text(key, where)}", value[key], f"only {', '.join(keys)}")


def count(value: object, where: str) -> None:
    """Check that a value is a whole number of 0 or more."""
    if type(value) is not int or not 0 <= value < MOST:
        refuse(where, value, "a whole number, 0 or more")


def number(value: object, where: str) -> None:
    """Check that a value is a finite number."""
    if not (isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MOST):
        refuse(where, value, "a finite number")


def metric(value: object, where: str) -> None:
    """Check that a value is a number, finite or not, in a tensor without dimensions or not, or null."""
    if isinstance(value, Tensor) and value.ndim == 0:
        tensor(value, where)
    elif value is not None and type(value) not in (int, float):
        refuse(where, value, "a number or null")


def tensor(value: Any, where: str) -> None:
    """Check that a value is a tensor with all its values in memory: strides can make it far larger than its file."""
    if (
        type(value) not in (Tensor, torch.nn.Parameter)
        or value.layout != torch.strided
        or value.is_meta
        or value.is_complex()
        or value.numel() * value.element_size() > value.untyped_storage().nbytes()
    ):
        refuse(where, value, "a tensor with values of its own")


def tensors(value: Any, where: str) -> None:
    """Check that a value is a dictionary of tensors."""
    mapping(value, where)
    for name, member in value.items():
        tensor(member, f"{where}.{text(name, where)}")


def plain(value: Any, where: str, around: tuple[int, ...] = ()) -> None:
    """Check that a value is plain, and that no text in it is a path that leads elsewhere."""
    if isinstance(value, Tensor):
        tensor(value, where)
    elif isinstance(value, str):
        if _ELSEWHERE.search(value):
            refuse(where, value, "no path")
    elif isinstance(value, dict | list | tuple):
        if id(value) in around or len(around) == DEPTH:
            refuse(where, value, f"{DEPTH} levels at most")
        for key, member in value.items() if isinstance(value, dict) else enumerate(value):
            if not isinstance(key, str | int | float | None):
                refuse(f"a key of {where}", key, "a text or a number")
            plain(member, f"{where}.{printable(str(key))[:SHOWN]}", (*around, id(value)))
    elif not isinstance(value, bool | int | float | None):
        refuse(where, value, "plain values")


def like(value: Any, own: Any, where: str) -> None:
    """Check that a value has the keys, types and shapes of one of ours; single numbers may be absent."""
    if isinstance(own, dict):
        has(value, [key for key, member in own.items() if isinstance(member, dict | Tensor)], where)
        for key, member in value.items():
            if key not in own:
                refuse(f"{where}.{text(key, where)}", member, f"only {', '.join(own)}")
            like(member, own[key], f"{where}.{key}")
    elif isinstance(own, Tensor):
        tensor(value, where)
        if value.shape != own.shape or value.dtype != own.dtype:
            refuse(where, value, f"{own.dtype} {tuple(own.shape)}")
    elif isinstance(own, bool):
        if type(value) is not bool:
            refuse(where, value, "true or false")
    else:
        count(value, where)
