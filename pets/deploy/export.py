"""A folder that predicts anywhere: weights, metadata, a torch.export program, an ONNX file, a script, a model card."""

import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from pets import console
from pets.augment.batch import evaluate_images
from pets.deploy.artifact import DETECTOR, WEIGHTS, Artifact
from pets.deploy.exportable import Exportable
from pets.deploy.metadata import write_metadata
from pets.errors import UserError
from pets.files import write_text
from pets.model.weights import first_line

PROGRAM, ONNX, CARD, SCRIPT = "model.pt2", "model.onnx", "README.md", "predict.py"
TOLERANCE = 1e-4
"""Largest difference of an output between any two of the exported forms; of an output above 1, in parts of it."""
Runner = Callable[[Tensor], tuple[Tensor, ...]]
"""From squares uint8 (B, 3, S, S) to the outputs."""
_ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def missing_for_onnx() -> list[str]:
    """Return the packages of the extra `onnx` that are not installed."""
    return [name for name in _ONNX_PACKAGES if find_spec(name) is None]


def export(artifact: Artifact, folder: str | Path, card: str, *, onnx: bool) -> dict[str, float]:
    """Write the folder: model.safetensors, model.json, model.pt2, predict.py, README.md and, on demand, model.onnx.

    Everything is written next to it under another name, compared with the network on squares of noise, and then
    renamed: the folder is there whole or not at all. No file in it holds pickled objects. The model must be on the CPU;
    `card` is the text of README.md, and model.onnx needs the extra `onnx`.

    Returns:
        For model.pt2 and model.onnx the largest difference of an output from the network's, as in `TOLERANCE`.

    Raises:
        FileExistsError: The folder exists.
        ValueError: The architecture cannot be exported, or what was exported predicts something else.
    """
    folder = Path(folder)
    if folder.exists():
        raise FileExistsError(f"export.folder={folder} exists and is never overwritten: choose another")
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    part.mkdir(parents=True)
    try:
        write_metadata(artifact.metadata, part)
        tensors = {name: tensor.contiguous() for name, tensor in artifact.network.state_dict().items()}
        if artifact.detector is not None:
            tensors |= {f"{DETECTOR}{name}": tensor for name, tensor in artifact.detector.state_dict().items()}
        safetensors.torch.save_file(tensors, part / WEIGHTS)
        write_text(part / CARD, card)
        shutil.copyfile(Path(__file__).with_name(SCRIPT), part / SCRIPT)
        with console.progress("exporting", total=4 if onnx else 2) as bar:
            program = export_program(artifact)
            torch.export.save(program, part / PROGRAM)
            runners = {PROGRAM: _program_runner(part / PROGRAM)}
            bar.advance()
            if onnx:
                write_onnx(program, artifact, part / ONNX)
                runners[ONNX] = _onnx_runner(part / ONNX)
                bar.advance()
            differences = {name: _difference(artifact, runner, name) for name, runner in bar.over(runners.items())}
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return differences


def export_program(artifact: Artifact) -> ExportedProgram:
    """Return the model as a program of uint8 (B, 3, S, S) for any B and, if presized natively, any S; see `Exportable`.

    Raises:
        ValueError: torch.export cannot express the architecture.
    """
    presize = artifact.metadata.presize
    dynamic = {0: Dim("batch")}
    if presize.method == "native":
        dynamic[2] = dynamic[3] = Dim("side", max=presize.size)
    try:
        program = torch.export.export(
            Exportable(artifact).eval(), (_noise(presize.size, 2),), dynamic_shapes=(dynamic,), strict=False
        )
    except Exception as error:  # anything an architecture does can be beyond the tracer
        arch = artifact.metadata.spec["arch"]
        raise UserError(f"model.arch={arch}: torch.export cannot express it: {first_line(error)}") from error
    program.example_inputs = None  # they would be saved as a pickle
    return program


def write_onnx(program: ExportedProgram, artifact: Artifact, path: Path) -> None:
    """Write a program as one ONNX file: `images` in, `probabilities` and, with a detector, `familiarity` out."""
    torch.onnx.export(
        program,
        (_noise(artifact.metadata.presize.size, 2),),
        path,
        input_names=["images"],
        output_names=["probabilities"] if artifact.detector is None else ["probabilities", "familiarity"],
        dynamo=True,
        external_data=False,
        verbose=False,
    )


def _noise(side: int, n: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, 3, side, side), dtype=torch.uint8, generator=generator)


def _program_runner(path: Path) -> Runner:
    program = torch.export.load(path).module()
    return lambda images: outputs if isinstance(outputs := program(images), tuple) else (outputs,)


def _onnx_runner(path: Path) -> Runner:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: tuple(map(torch.from_numpy, session.run(None, {"images": images.numpy()})))


@torch.no_grad()
def _difference(artifact: Artifact, runner: Runner, name: str) -> float:
    """Return the largest difference from the network's outputs; 3 images, as the batch must be dynamic."""
    presize = artifact.metadata.presize
    sides = {presize.size, presize.size // 2 + 1} if presize.method == "native" else {presize.size}
    difference = 0.0
    for side in sides:
        images = _noise(side, 3)
        given = evaluate_images(images, torch.full((3,), float(side)), artifact.metadata.size)
        wanted = [artifact.network.loss.probabilities(artifact.network(given))]
        if artifact.detector is not None:
            wanted.append(artifact.detector(artifact.network.features(given)))
        for output, own in zip(runner(images), wanted, strict=True):
            apart = ((output - own).abs() / own.abs().clamp(min=1)).max()
            difference = apart.clamp(min=difference).item()  # NaN stays
    if not difference <= TOLERANCE:
        raise UserError(f"{name} differs from the network by {difference:.1e}, more than {TOLERANCE:.0e}")
    return difference
