"""The audit of dependencies: what is installed is good, and what is known to be bad cannot be asked for."""

import importlib.util
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    """The script of .ci."""
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_installed_is_good(audit: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main() == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert {"lightning", "torch", "hydra-core", "pillow", "safetensors"} <= set(listed)


def test_every_dependency_has_a_lower_bound(audit: ModuleType) -> None:
    without = [
        str(requirement)
        for requirement in audit.requirements()
        if not any(clause.operator in (">=", "==") for clause in requirement.specifier)
    ]
    assert not without


@pytest.mark.parametrize(
    ("package", "bad"),
    [
        ("lightning", "2.6.2"),
        ("lightning", "2.6.3"),
        ("torch", "2.10.0"),
        ("hydra-core", "1.3.5"),
        ("pillow", "12.3.0"),
        ("filelock", "3.20.2"),
        ("onnx", "1.16.0"),
    ],
)
def test_a_bad_release_is_known_and_outside_the_bounds(package: str, bad: str, audit: ModuleType) -> None:
    assert audit.reason_against(package, bad)
    (requirement,) = {r for r in audit.requirements() if r.name == package}
    assert not requirement.specifier.contains(bad)


def test_every_bad_release_of_a_direct_dependency_is_outside_its_bounds(audit: ModuleType) -> None:
    for requirement in audit.requirements():
        (bound, *_) = [clause.version for clause in requirement.specifier if clause.operator in (">=", "==")]
        assert audit.reason_against(requirement.name, bound) is None, f"{requirement} allows {bound}"


def test_problems_are_counted(audit: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert audit.problem(Requirement("x>=2"), "1.9") == "pyproject.toml asks for >=2"
    assert audit.problem(Requirement("lightning"), "2.6.3") == "stole credentials when imported"
    assert audit.problem(Requirement("lightning>=2.6.4"), "2.6.6") is None
    monkeypatch.setattr(audit, "installed", {"lightning": "2.6.3", "torch": "2.12"}.get)
    assert audit.main() == 1


def test_ci_runs_it() -> None:
    assert "python .ci/audit.py" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_what_the_package_imports_is_a_dependency_of_its_own(audit: ModuleType) -> None:
    sources = [path for folder in ("pets", "hydra_plugins") for path in (ROOT / folder).rglob("*.py")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    imported = set(re.findall(r"^\s*(?:from|import) (\w+)", code, re.MULTILINE))
    third_party = imported & packages_distributions().keys() - set(sys.stdlib_module_names) - {"pets", "hydra_plugins"}
    declared = {canonicalize_name(requirement.name) for requirement in audit.requirements()}
    undeclared = [
        name
        for name in third_party
        if not {canonicalize_name(dist) for dist in packages_distributions()[name]} & declared
    ]
    assert "torch" in third_party
    assert undeclared == []
