"""Compare what is installed with the bounds of pyproject.toml and with releases known to be bad; needs no network."""

import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
KNOWN_BAD = {
    "lightning": ("==2.6.2,==2.6.3", "stole credentials when imported"),
    "torch": ("<2.11", "weights_only could run code: CVE-2025-32434, CVE-2026-24747, PYSEC-2026-139"),
    "hydra-core": ("<1.3.6", "instantiate reaches what should be blocked: GHSA-37p2"),
    "pillow": ("<13.0", "overflows in the JPEG, TIFF and GIF decoders"),
    "filelock": ("<3.20.3", "CVE-2025-68146, CVE-2026-22701"),
    "tqdm": ("<4.66.3", "CVE-2024-34062"),
    "onnx": ("<1.17", "CVE-2024-5187"),
    "pyyaml": ("<5.4", "CVE-2020-14343"),
}
"""By package: bad releases, any of the comma-separated conditions, and why; also of packages that others bring."""


def requirements(path: Path = PYPROJECT) -> list[Requirement]:
    """Return the direct dependencies, extras included, each once."""
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    extras = [text for texts in project["optional-dependencies"].values() for text in texts]
    found = [Requirement(text) for text in (*project["dependencies"], *extras)]
    return [requirement for requirement in found if requirement.name != project["name"]]


def installed(name: str) -> str | None:
    """Return the installed version of a package; None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def reason_against(name: str, release: str) -> str | None:
    """Say why a release is known to be bad; None if it is not."""
    conditions, reason = KNOWN_BAD.get(name, ("", ""))
    bad = any(
        SpecifierSet(condition).contains(release, prereleases=True) for condition in conditions.split(",") if conditions
    )
    return reason if bad else None


def problem(requirement: Requirement, release: str) -> str | None:
    """Say what is wrong with an installed release; None if nothing is."""
    if not requirement.specifier.contains(release, prereleases=True):
        return f"pyproject.toml asks for {requirement.specifier}"
    return reason_against(requirement.name, release)


def main() -> int:
    """List direct dependencies, then known-bad packages among the indirect ones; return the number of problems."""
    checked = requirements()
    direct = {requirement.name for requirement in checked}
    checked += [Requirement(name) for name in KNOWN_BAD if name not in direct]
    problems = 0
    for requirement in checked:
        release = installed(requirement.name)
        if release is None:
            continue
        wrong = problem(requirement, release)
        problems += wrong is not None
        bounds = str(requirement.specifier) or "(indirect)"
        print(f"{requirement.name:<26}{release:<12}{bounds:<14}{'ok' if wrong is None else f'BAD: {wrong}'}")
    return problems


if __name__ == "__main__":
    sys.exit(min(main(), 1))
