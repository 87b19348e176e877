"""Check the composed configuration against the declarations, and name the key that was meant."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from pets.errors import UserError
from pets.settings import augment, data, model, recipe, run, training  # noqa: F401  (they declare)
from pets.settings.declare import BY_PREFIX, BY_TARGET, Input, Output, Refused, fields

INSTANTIATE = ("_target_", "_partial_", "_convert_", "_recursive_", "_args_")
"""Hydra's own keys."""
OPEN_GROUPS = ("callbacks", "logger")
"""Groups whose members are named freely; null removes one."""
INSTEAD = {
    "trainer.max_epochs": "recipe.epochs (with phases: recipe.phases.0.epochs)",
    "trainer.default_root_dir": "hydra.run.dir",
    "trainer.logger": "the group logger",
    "trainer.callbacks": "the group callbacks, as +callbacks.NAME._target_=...",
    "ema.decay": "ema=default before it",
    "max_epochs": "recipe.epochs",
    "epochs": "recipe.epochs",
    "lr": "recipe.base_lr",
    "base_lr": "recipe.base_lr",
    "bs": "data.batch_size",
    "batch_size": "data.batch_size",
    "workers": "data.num_workers",
    "arch": "model.arch",
    "root": "data.root",
    "path": "data.root",
    "output_dir": "hydra.run.dir",
}
"""Keys that other programs have, and what does their job here."""
ALIASES = {"model.source": "model.library"}
"""Names that a key had in earlier versions."""


def config_dir() -> Path:
    """Return the folder with config.yaml: a wheel has it inside the package, a checkout beside it."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of every value below a plain mapping; a list is one value."""
    for key, value in node.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from leaves(value, f"{name}.")
        else:
            yield name, value


def check(cfg: DictConfig) -> None:
    """Check a composed configuration: no key that nothing reads, no value that its declaration does not allow.

    What a person's own class takes (a `_target_` that is not this project's) is passed on unchecked.

    Raises:
        UserError: In one line, for the first fault.
    """
    raw: dict[str, Any] = OmegaConf.to_container(cfg)  # type: ignore[assignment]
    for key, written in leaves(raw):
        if written == "???" and not key.startswith("hydra."):
            raise UserError(f"{key} is required: add {key}=VALUE to the command")
    for prefix, declaration, node in declared_nodes(raw):
        _check_node(cfg, prefix, declaration, node)


def declared_nodes(raw: Mapping[str, Any]) -> Iterator[tuple[str, type, Mapping[str, Any]]]:
    """Yield (key, declaration, node) of each group of a plain configuration that is declared, the top first."""
    yield "", BY_PREFIX[""], {name: value for name, value in raw.items() if name != "hydra"}
    for name, node in raw.items():
        if isinstance(node, Mapping) and name != "hydra":
            yield from _declared_below(name, node)


def _declared_below(prefix: str, node: Mapping[str, Any]) -> Iterator[tuple[str, type, Mapping[str, Any]]]:
    declaration = BY_TARGET.get(str(node.get("_target_"))) or BY_PREFIX.get(prefix)
    if declaration is not None:
        yield prefix, declaration, node
    for name, below in node.items():
        if isinstance(below, Mapping):
            yield from _declared_below(f"{prefix}.{name}", below)
        for place, member in enumerate(below if isinstance(below, list) else ()):
            if isinstance(member, Mapping):
                yield from _declared_below(f"{prefix}.{name}[{place}]", member)


def _check_node(cfg: DictConfig, prefix: str, declaration: Any, node: Mapping[str, Any]) -> None:
    known, values, written = fields(declaration), {}, {}
    for name, text in node.items():
        key = f"{prefix}.{name}" if prefix else str(name)
        value = OmegaConf.select(cfg, key)
        if name in INSTANTIATE:
            continue
        if name in declaration.CHILDREN and (isinstance(value, DictConfig) or name not in known):
            if not prefix and not isinstance(value, DictConfig):
                raise Refused(key, text, "a group of keys")
            continue
        if name not in known:
            if declaration.PASSED is None or name in declaration.PASSED:
                continue
            raise UserError(no_such_key(key, known_keys(_plain(cfg))))
        values[name] = _plain(value) if isinstance(value, DictConfig | ListConfig) else value
        written[key] = text
    try:
        declaration(**values)
    except UserError as error:
        if isinstance(error, Refused):
            key = _placed(error.key, declaration, prefix)
            # The text and not the value, which an environment variable may have put there.
            if isinstance(text := written.get(key), str) and "${" in text:
                raise Refused(key, text, error.allowed) from None
        raise UserError(_placed(str(error), declaration, prefix)) from None


def _placed(text: str, declaration: Any, prefix: str) -> str:
    """Return what a declaration of list members says, with the place in the list."""
    return text.replace(declaration.PREFIX, prefix) if str(declaration.PREFIX).endswith("[]") else text


def known_keys(raw: Mapping[str, Any]) -> list[str]:
    """Return the groups and keys of a plain configuration, without Hydra's own."""
    return [name for name in (*raw, *(key for key, _ in leaves(raw))) if name.split(".")[0] != "hydra"]


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node)


def no_such_key(key: str, known: Iterable[str]) -> str:
    """Return what to say of a key that does not exist: the one that does its job, or the most similar one."""
    if key in INSTEAD:
        return f"no key {key}: use {INSTEAD[key]}"
    known = [name for name in known if name != key]
    # A key may be meant by its end alone, as `epochs`, or be misspelt in any part.
    ends = {name.split(".")[-1]: name for name in reversed(known)} if "." not in key else {}
    same_end = [name for name in known if name.split(".")[-1] == key.split(".")[-1]]
    groups = difflib.get_close_matches(key, [name for name in known if "." not in name], n=1, cutoff=0.7)
    similar = groups or difflib.get_close_matches(key, [*known, *ends], n=1, cutoff=0.7)
    found = same_end if len(same_end) == 1 else similar
    return f"no key {key}" + (f"; did you mean {ends.get(found[0], found[0])}?" if found else "")


def marked(raw: Mapping[str, Any], mark: type) -> set[str]:
    """Return the keys of a plain configuration whose fields are marked as `Input` or `Output`."""
    return {
        f"{prefix}.{name}" if prefix else name
        for prefix, declaration, node in declared_nodes(raw)
        for name, field in fields(declaration).items()
        if name in node and mark in field.metadata
    }


def is_output(key: str, raw: Mapping[str, Any]) -> bool:
    """Tell whether a key says where something is written: declared so, or an argument of a callback or logger."""
    path_like = key.rsplit(".", 1)[-1] in ("path", "dirpath", "save_dir", "dir", "folder", "root_dir", "filename")
    return key in marked(raw, Output) or (key.split(".")[0] in (*OPEN_GROUPS, "trainer") and path_like)


def check_inputs(cfg: DictConfig) -> None:
    """Check that the files and folders that a configuration reads are there, before anything slow is imported.

    Raises:
        FileNotFoundError: Naming key and path.
    """
    raw: dict[str, Any] = OmegaConf.to_container(cfg)  # type: ignore[assignment]
    target = str(OmegaConf.select(cfg, "data.source._target_"))
    made_on_use = target.endswith((".OxfordPets", ".DemoSet"))
    for key in sorted(marked(raw, Input)):
        path = OmegaConf.select(cfg, key)
        if path is None or (key == "data.root" and made_on_use):
            continue
        if not Path(path).expanduser().exists():
            raise FileNotFoundError(f"{key}={path} does not exist")


def targets(node: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted key, class) of every `_target_` in nested mappings and lists."""
    if isinstance(node, Mapping):
        pairs: Iterable[tuple[Any, Any]] = node.items()
    elif isinstance(node, Sequence) and not isinstance(node, str):
        pairs = enumerate(node)
    else:
        return
    for name, value in pairs:
        if name == "_target_":
            yield f"{prefix}{name}", str(value)
        yield from targets(value, f"{prefix}{name}.")
