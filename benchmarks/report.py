"""Tables as JSON and Markdown, and the description of the machine that belongs to them."""

import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.harness import Claim, Spread, Table
from pets.machine import resolve_precision

PACKAGES = ("torch", "torchvision", "lightning", "hydra-core", "timm", "fastai", "pillow", "numpy")


def machine() -> dict[str, object]:
    """Return versions, cores, threads and the CPU features that decide the speed."""
    import torch

    facts: dict[str, object] = {
        "python": platform.python_version(),
        "cpu": _cpu_field("model name"),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "bfloat16 on the CPU": resolve_precision("auto", "cpu") == "bf16-mixed",
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", "default"),
        "load_average": round(os.getloadavg()[0], 1),
        "command": " ".join(["python -m benchmarks", *sys.argv[1:]]),
    }
    for package in PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = None
    return facts


def _cpu_field(name: str) -> str:
    listing = Path("/proc/cpuinfo")
    for line in listing.read_text().splitlines() if listing.exists() else ():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return "unknown"


def write(out: Path, facts: dict[str, object], tables: Sequence[Table]) -> None:
    """Write `results.json` (every value) and `results.md` (medians and targets) into the folder `out`."""
    body = {"machine": facts, "tables": [{**asdict(table), "verdicts": _verdicts(table)} for table in tables]}
    (out / "results.json").write_text(json.dumps(body, indent=1) + "\n")
    described = ", ".join(f"{key} {value}" for key, value in facts.items())
    (out / "results.md").write_text("\n".join([f"Measured on: {described}.", "", *map(markdown, tables)]))


def _verdicts(table: Table) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for claim in table.claims:
        values = claim.values(table.measures)
        spread = Spread.of(values, table.mean) if values else None
        met = claim.met(spread.centre) if spread else None
        rows.append({"target": _target(claim), "measured": asdict(spread) if spread else None, "met": met})
    return rows


def markdown(table: Table) -> str:
    """Return a table as Markdown: medians with IQR, then every target with its ratio and whether it was met."""
    lines = [f"### {table.title}", "", f"| case | {table.unit}, {table.centre} [IQR] | n |", "|---|---:|---:|"]
    for name, values in table.measures.items():
        lines.append(f"| {name} | {_spread(table, values, table.digits)} | {len(values)} |")
    if table.claims:
        lines += ["", "| target | measured [IQR] | |", "|---|---:|---|"]
    for claim in table.claims:
        values = claim.values(table.measures)
        measured = _spread(table, values, 2) if values else "not measured"
        verdict = ("met" if claim.met(Spread.of(values, table.mean).centre) else "**missed**") if values else ""
        lines.append(f"| {_target(claim)} | {measured} | {verdict} |")
    lines += ["", *(f"- {note}" for note in table.notes), ""]
    return "\n".join(lines)


def _spread(table: Table, values: Sequence[float], digits: int) -> str:
    spread = Spread.of(values, table.mean)
    return f"{spread.centre:.{digits}f} [{spread.low:.{digits}f}, {spread.high:.{digits}f}]"


def _target(claim: Claim) -> str:
    subject = claim.of if claim.over is None else f"{claim.of} {'-' if claim.difference else '/'} {claim.over}"
    bounds = [f">= {claim.at_least:g}"] if claim.at_least is not None else []
    bounds += [f"<= {claim.at_most:g}"] if claim.at_most is not None else []
    return f"{subject} {', '.join(bounds)}"
