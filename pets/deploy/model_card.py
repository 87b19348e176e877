"""The model card of an exported folder: what the model is, its measured error, its limits, licence and use."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pets.deploy.metadata import Metadata
from pets.escape import markdown
from pets.evaluation.intervals import wilson

DATA = {
    "OxfordPets": "Oxford-IIIT Pet (Parkhi et al., 2012), photographs under CC BY-SA 4.0",
    "DemoSet": "the demo set of pets, drawn by a program: no photographs",
}
"""What a source of images is, by the name of its class; other sources are the user's own."""
UNKNOWN_LICENCE = "No licence is stated for these weights: ask who made them before you pass them on."


def model_card(
    metadata: Metadata,
    *,
    metrics: Mapping[str, Any] | None,
    config: Mapping[str, Any] | None,
    licence: str | None,
    onnx: bool,
) -> str:
    """Return the card as Markdown, with the metadata block that model hubs read.

    Args:
        metadata: Of the exported model.
        metrics: The metrics.json that measured these weights; None: the card says that no error is known.
        config: The config.yaml of the run that trained them.
        licence: Of the weights, as an SPDX name; None: the card says that none is stated.
        onnx: Whether the folder holds model.onnx.
    """
    arch, n = metadata.spec["arch"], len(metadata.classes)
    sections = {
        "Error": _error(metrics),
        "Data": _data(metrics, config),
        "Limits": _limits(metadata, metrics),
        "Use": _use(metadata, onnx),
        "Licence": _licence(licence, config),
        f"The {n} classes": ", ".join(map(markdown, metadata.classes)),
    }
    front = [
        "---",
        *([f"license: {_yaml(licence)}"] if licence else []),
        "library_name: pets",
        "tags: [image-classification]",
    ]
    body = [f"# {arch} for {n} classes", _facts(metadata)]
    body += [f"## {title}\n\n{text}" for title, text in sections.items()]
    return "\n".join([*front, "---", "", ""]) + "\n\n".join(body) + "\n"


def _facts(metadata: Metadata) -> str:
    spec, side = metadata.spec, metadata.presize.size
    smaller = " or fewer, all of a batch alike" if metadata.presize.method == "native" else ""
    rows = {
        "Architecture": f"{spec['arch']} of {spec['source']}, head {spec['head']['kind']}",
        "Started from": markdown(spec["weights"] or "random weights"),
        "Input": f"uint8 RGB squares of {side} pixels{smaller} (presizing: "
        f"{metadata.presize.method}), resized to {metadata.size} and normalised inside",
        "Output": f"a probability for each class ({spec['loss']['kind']}), in the order of model.json",
    }
    if metadata.threshold is not None:
        rows["Threshold"] = f"below a probability of {metadata.threshold:.3f} it is none of the classes"
    if metadata.false_alarms is not None:
        rows["None of the classes"] = (
            "what the second output, `familiarity`, is below 0 for; chosen so that of images of the classes "
            f"{metadata.false_alarms:.1%} are refused"
        )
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows.items())])


def _error(metrics: Mapping[str, Any] | None) -> str:
    rows = list(_measured(metrics or {}))
    if not rows:
        return "Not measured, or measured with other weights. `task=evaluate ckpt_path=...` measures it."
    table = ["| part | images | wrong | error | 95% interval (Wilson) |", "|---|---|---|---|---|"]
    for part, n, wrong in rows:
        error = wilson(wrong, n)
        table.append(f"| {part} | {n:,} | {wrong:,} | {error.value:.1%} | {error.low:.1%} to {error.high:.1%} |")
    return "\n".join(table)


def _measured(metrics: Mapping[str, Any]) -> Iterator[tuple[str, int, int]]:
    """Yield (part, images, wrong ones) of each part that was measured."""
    for part, n in metrics.get("n", {}).items():
        rate = metrics.get(f"{part}/error_rate")
        if n and rate is not None:
            yield part, n, round(rate * n)


def _data(metrics: Mapping[str, Any] | None, config: Mapping[str, Any] | None) -> str:
    lines = [f"Trained on {DATA.get(_source(config), 'images that came with no description')}."]
    if metrics:
        counts = ", ".join(f"{n:,} {part}" for part, n in metrics["n"].items() if n)
        split = ", ".join(
            markdown(f"{key}={value}") for key, value in metrics["split"].items() if not key.startswith("_")
        )
        lines.append(f"Images: {counts}. Split: {split}. Seed of the run: {metrics['seed']}.")
    return "\n".join(lines)


def _source(config: Mapping[str, Any] | None) -> str:
    """Return the name of the class that the training images came from."""
    node: Any = config
    for key in ("data", "source", "_target_"):
        node = node.get(key) if isinstance(node, Mapping) else None
    return str(node).rsplit(".", 1)[-1]


def _limits(metadata: Metadata, metrics: Mapping[str, Any] | None) -> str:
    lines = [
        "The error holds for images like those it was measured on. Other cameras, poses and mixed breeds are harder.",
        "One image, one class: of several animals in an image it names one.",
    ]
    if metadata.threshold is None and metadata.false_alarms is None:
        lines.append("Every image gets a class, one that shows none of them too.")
    if metrics and "test/error_rate" not in metrics:
        lines.append("What was chosen by looking at the validation part makes its error a little too low.")
    return "\n".join(f"- {line}" for line in lines)


def _use(metadata: Metadata, onnx: bool) -> str:
    parts = [
        "With the package `pets` (it opens model.json and model.safetensors only, and executes nothing in them):",
        '```python\nfrom pets import Predictor\n\npredictor = Predictor.load(".")\nprint(predictor("photo.jpg"))\n```',
        "Without it, with NumPy, Pillow and " + ("onnxruntime or torch:" if onnx else "torch:"),
        "```bash\npython predict.py photo.jpg\n```",
        "`torch.export.load` unpickles what it does not find as plain values. There is no pickle in this model.pt2; "
        "open none from people whom you do not trust.",
    ]
    return "\n\n".join(parts)


def _yaml(text: str) -> str:
    """Return a text as a value of the metadata block, in quotes unless it is a plain name."""
    return text if re.fullmatch(r"[A-Za-z][\w.-]*", text) else json.dumps(text)


def _licence(licence: str | None, config: Mapping[str, Any] | None) -> str:
    lines = [f"Weights: {markdown(licence)}." if licence else UNKNOWN_LICENCE]
    if source := DATA.get(_source(config)):
        lines.append(f"They were trained on {source}.")
    return "\n".join(lines)
