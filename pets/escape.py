"""Texts from outside, such as names of files and classes, made harmless for what shows them."""

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_UNDECODED = re.compile(r"\\udc[89a-f][0-9a-f]")
_MARKUP = re.compile(r"[\\`*\[\]|~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|^[#+-]")


def to_cell(value: object) -> object:
    """Return a cell of a table that no spreadsheet takes for a formula: a text that begins like one gets a `'`.

    Numbers stay, those that are texts too. Bytes of a file name that are not UTF-8 become `\\udc80` to `\\udcff`.
    """
    if not isinstance(value, str):
        return value
    text = value.encode("utf-8", "backslashreplace").decode("utf-8")
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def from_cell(text: str) -> str:
    """Return the text that `to_cell` made a cell of; a cell that a person wrote stays as it is."""
    plain = text[1:] if text.startswith("'") and _FORMULA.match(text) else text
    return _UNDECODED.sub(lambda match: chr(int(match[0][2:], 16)), plain)


def markdown(text: object) -> str:
    """Return a text that Markdown and HTML show as it is, on one line, in a cell of a table too."""
    line = " ".join(printable(str(text)).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKUP.sub(lambda match: f"\\{match[0]}", line)


def printable(text: str) -> str:
    """Return a text whose characters can all be encoded and drawn: the others become `\\x1b`, `\\udce9`."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
