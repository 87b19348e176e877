"""Predictions as the rows of a file, CSV or JSON Lines, written one by one."""

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pets.deploy.predictor import Prediction, Predictor

Write = Callable[[str, Prediction | str], None]
"""Takes the name of a file, and its prediction or the reason why there is none."""


@contextmanager
def writing(path: Path, predictor: Predictor) -> Iterator[Write]:
    """Give a function that writes a row to a .csv or .jsonl file, which gets its name when all rows are in it.

    A row has the file, the most probable classes with their probabilities, the error if there is one and, if the
    model has a threshold, whether the prediction is accepted.
    """
    part = path.with_name(f".{path.name}.part")
    # A file name that is not UTF-8 stays readable, and the file stays UTF-8.
    with part.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream:
        yield (_json_lines if path.suffix == ".jsonl" else _csv_rows)(stream, predictor)
    part.replace(path)


def _csv_rows(stream: IO[str], predictor: Predictor) -> Write:
    ranks = range(1, min(predictor.top_k, len(predictor.classes)) + 1)
    columns = [name if rank == 1 else f"{name}_{rank}" for rank in ranks for name in ("label", "probability")]
    decision = [] if predictor.threshold is None else ["accepted"]
    writer = csv.writer(stream)
    writer.writerow(["file", *columns, *decision, "error"])

    def write(file: str, result: Prediction | str) -> None:
        if isinstance(result, str):
            cells = [""] * len(columns + decision) + [result]
        else:
            cells = [cell for label, probability in result.top for cell in (label, f"{probability:.6f}")]
            cells += [str(result.accepted).lower() for _ in decision] + [""]
        writer.writerow([file, *cells])

    return write


def _json_lines(stream: IO[str], predictor: Predictor) -> Write:
    def write(file: str, result: Prediction | str) -> None:
        row: dict[str, Any] = {"file": file, "label": None, "probability": None, "top": [], "error": None}
        if isinstance(result, str):
            row["error"] = result
        else:
            top = [{"label": label, "probability": round(probability, 6)} for label, probability in result.top]
            row |= {**top[0], "top": top}
            if predictor.threshold is not None:
                row["accepted"] = result.accepted
        stream.write(json.dumps(row) + "\n")

    return write
