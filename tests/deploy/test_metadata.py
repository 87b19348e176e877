"""model.json gives back what was written, and refuses everything else in one line."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pets.data.presize import Presize
from pets.deploy.metadata import MAX_BYTES, Metadata, read_metadata, write_metadata
from pets.model.losses import CrossEntropy
from pets.model.network import Network

SPEC = {
    "version": 1,
    "arch": "resnet18",
    "source": "torchvision",
    "weights": "IMAGENET1K_V1",
    "head": {"kind": "concat_pool", "hidden": 512, "dropout": 0.5},
    "classes": ["pug", "Birman"],
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "loss": {"kind": "cross_entropy", "label_smoothing": 0.1, "class_weights": [1.0, 2.0]},
    "frozen_bn": "train",
}
DESCRIPTION = Metadata(SPEC, Presize(256, "pad", "bicubic"), 160, 0.25)


def test_round_trip(tmp_path: Path) -> None:
    write_metadata(DESCRIPTION, tmp_path)
    assert read_metadata(tmp_path) == DESCRIPTION
    assert DESCRIPTION.classes == ("pug", "Birman")


def test_what_a_network_says_of_itself_is_allowed(tmp_path: Path) -> None:
    network = Network("resnet18", classes=["a", "b"], weights=None, loss=CrossEntropy(0.1, [1, 2]))
    metadata = Metadata(network.spec(), Presize(), 224)
    write_metadata(metadata, tmp_path)
    assert read_metadata(tmp_path) == metadata


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", 2),
        ("version", True),
        ("version", 1.0),
        ("arch", ""),
        ("arch", "x" * 2000),
        ("arch", ["resnet18"]),
        ("source", "hub"),
        ("weights", 3),
        ("head", {"kind": "linear", "module": "os"}),
        ("head", {"hidden": 10**12}),
        ("head", {"hidden": True}),
        ("head", {"dropout": "0.5"}),
        ("head", []),
        ("classes", ["pug"]),
        ("classes", ["pug", "pug"]),
        ("classes", "pug"),
        ("classes", ["pug", 1]),
        ("classes", {"pug": 0, "Birman": 1}),
        ("mean", [0.5, 0.5]),
        ("mean", [0.5, 0.5, 10**400]),
        ("std", [0.5, 0.5, 0]),
        ("std", [0.5, 0.5, None]),
        ("loss", {"kind": "os.system"}),
        ("loss", {"kind": ["cross_entropy"]}),
        ("loss", {"kind": "cross_entropy", "class_weights": [[1], [2]]}),
        ("frozen_bn", None),
        ("presize", {"size": 256, "method": "crop"}),
        ("presize", {"size": 4097, "method": "crop", "interpolation": "bilinear"}),
        ("presize", {"size": 256, "method": "exec", "interpolation": "bilinear"}),
        ("presize", {"size": [256], "method": "crop", "interpolation": "bilinear"}),
        ("presize", {"size": 256, "method": "crop", "interpolation": "nearest"}),
        ("presize", {"size": 256, "method": "crop", "interpolation": "bilinear", "more": 1}),
        ("size", 0),
        ("size", 1e3),
        ("size", -(10**5000)),
        ("interpolation", "nearest"),
        ("threshold", 1.5),
        ("threshold", "0.5"),
        ("pets_version", None),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 else "",
)
def test_a_wrong_value_is_named_in_one_line(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^model.json: {key}=.* is not allowed: ") as caught:
        Metadata.from_values(DESCRIPTION.values() | {key: value}, "model.json")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("values", [None, [], 3, "x", {}])
def test_something_else_than_a_description(values: Any) -> None:
    with pytest.raises(ValueError, match=r"^model.json: (must hold an object|lacks version)"):
        Metadata.from_values(values, "model.json")


def test_a_missing_and_an_unknown_key_are_named() -> None:
    values = DESCRIPTION.values()
    with pytest.raises(ValueError, match="has an unknown key '_target_'"):
        Metadata.from_values(values | {"_target_": "os.system"}, "model.json")
    del values["presize"]
    with pytest.raises(ValueError, match="lacks presize"):
        Metadata.from_values(values, "model.json")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe{}", "is not JSON"),
        (b"\x80\x04K\x01.", "is not JSON"),
        (b'{"size": NaN}', "NaN is not a number of JSON"),
        (b'{"size": 1, "size": 2}', "a key stands twice"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"version":' + b"9" * 10_000 + b"}", "is not JSON"),
        (b" " * (MAX_BYTES + 1), "is larger than"),
    ],
    ids=["empty", "utf-16", "pickle", "nan", "twice", "deep", "long number", "large"],
)
def test_a_file_that_is_no_description(data: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_bytes(data)
    with pytest.raises(ValueError, match=says) as caught:
        read_metadata(tmp_path)
    assert "\n" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


PLACES = [*((key,) for key in DESCRIPTION.values()), ("head", "kind"), ("presize", "size"), ("loss", "kind")]


@given(path=st.sampled_from(PLACES), value=JSON)
def test_any_value_in_any_place_is_read_or_refused(path: tuple[str, ...], value: Any) -> None:
    values = copy.deepcopy(DESCRIPTION.values())
    inner = values
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    try:
        metadata = Metadata.from_values(json.loads(json.dumps(values)), "model.json")
    except ValueError as error:
        refused = str(error)
    else:
        refused = ""
        assert metadata.values() == values | {"pets_version": DESCRIPTION.values()["pets_version"]}
    assert "\n" not in refused
