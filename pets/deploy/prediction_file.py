"""Predictions as the rows of a file, CSV or JSON Lines, written one by one."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pets.deploy.predictor import Prediction, Predictor
from pets.escape import to_cell
from pets.files import replacing

Write = Callable[[str, Prediction | str], None]
"""Takes the name of a file, and its prediction or the reason why there is none."""


@contextmanager
def writing(path: Path, predictor: Predictor) -> Iterator[Write]:
    """Give a function that writes a row to a .csv or .jsonl file, which gets its name when all rows are in it.

    A row has the file, the most probable classes with their probabilities, the error if there is one and, if the
    model may refuse an image, whether the prediction is accepted.
    """
    with replacing(path) as file:
        stream = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        yield (_json_lines if path.suffix == ".jsonl" else _csv_rows)(stream, predictor)


def _csv_rows(stream: IO[str], predictor: Predictor) -> Write:
    ranks = range(1, min(predictor.top_k, len(predictor.classes)) + 1)
    columns = [name if rank == 1 else f"{name}_{rank}" for rank in ranks for name in ("label", "probability")]
    decision = ["accepted"] if predictor.refuses else []
    writer = csv.writer(stream)
    writer.writerow(["file", *columns, *decision, "error"])

    def write(file: str, result: Prediction | str) -> None:
        if isinstance(result, str):
            cells = [""] * len(columns + decision) + [result]
        else:
            cells = [cell for label, probability in result.top for cell in (label, f"{probability:.6f}")]
            cells += [str(result.accepted).lower() for _ in decision] + [""]
        writer.writerow(map(to_cell, (file, *cells)))

    return write


def _json_lines(stream: IO[str], predictor: Predictor) -> Write:
    def write(file: str, result: Prediction | str) -> None:
        row: dict[str, Any] = {"file": file, "label": None, "probability": None, "top": [], "error": None}
        if isinstance(result, str):
            row["error"] = result
        else:
            top = [{"label": label, "probability": round(probability, 6)} for label, probability in result.top]
            row |= {**top[0], "top": top}
            if predictor.refuses:
                row["accepted"] = result.accepted
        stream.write(json.dumps(row) + "\n")

    return write
