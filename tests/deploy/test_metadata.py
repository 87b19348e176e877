"""model.json gives back what was written, and refuses everything else in one line."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pets.data.presize import Presize
from pets.deploy.metadata import MAX_BYTES, Metadata, read_metadata, write_metadata
from pets.errors import UserError
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
    "groups": 5,
    "drop_path": None,
    "class_token": True,
}
DESCRIPTION = Metadata(SPEC, Presize(256, "pad", "bicubic"), 160, 0.25, 0.05)


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
        ("head", []),
        ("head", {1: "linear"}),
        ("head", ...),
        ("classes", ["pug"]),
        ("classes", ["pug", "pug"]),
        ("classes", "pug"),
        ("classes", ["pug", 1]),
        ("classes", {"pug": 0, "Birman": 1}),
        ("mean", [0.5, 0.5]),
        ("mean", [0.5, 0.5, 10**400]),
        ("std", [0.5, 0.5, 0]),
        ("std", [0.5, 0.5, None]),
        ("loss", {"kind": "cross_entropy", "banana": 1}),
        ("loss", {"kind": "cross_entropy", "self": 1}),
        ("loss", {1: "cross_entropy"}),
        ("frozen_bn", None),
        ("groups", 3.0),
        ("drop_path", "0.1"),
        ("class_token", 1),
        ("presize", {"size": 256, "method": "crop"}),
        ("presize", {"size": 256, "method": "crop", "interpolation": "bilinear", "more": 1}),
        ("size", 1e3),
        ("size", "224"),
        ("interpolation", "nearest"),
        ("threshold", 1.5),
        ("threshold", "0.5"),
        ("false_alarms", 0),
        ("false_alarms", "0.05"),
        ("pets_version", None),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 else "",
)
def test_a_wrong_value_is_named_in_one_line(key: str, value: Any) -> None:
    assert_refused({key: value}, rf"^model\.json: {key}=.* is not allowed: ")


SQUARE = {"size": 256, "method": "crop", "interpolation": "bilinear"}


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("head", {"hidden": 65_537}, "model.head.hidden=65537"),
        ("head", {"hidden": True}, "model.head.hidden=True"),
        ("head", {"dropout": "0.5"}, "model.head.dropout='0.5'"),
        ("head", {"dropout": 1}, "model.head.dropout=1"),
        ("arch", "resnet19", "model.arch='resnet19'"),
        ("frozen_bn", "banana", "model.frozen_bn='banana'"),
        ("groups", 65, "model.groups=65"),
        ("drop_path", 1.0, "model.drop_path=1.0"),
        ("loss", {"kind": "os.system"}, "loss.kind='os.system'"),
        ("loss", {"kind": ["cross_entropy"]}, "loss.kind=['cross_entropy']"),
        ("loss", {"kind": "cross_entropy", "class_weights": [[1], [2]]}, "loss.class_weights=[[1], [2]]"),
        ("presize", SQUARE | {"size": 8193}, "data.presize.size=8193"),
        ("presize", SQUARE | {"size": [256]}, "data.presize.size=[256]"),
        ("presize", SQUARE | {"method": "exec"}, "data.presize.method='exec'"),
        ("presize", SQUARE | {"interpolation": "nearest"}, "data.presize.interpolation='nearest'"),
        ("size", 7, "augment.size=7"),
        ("size", 8193, "augment.size=8193"),
        ("size", -(10**5000), "augment.size=<int>"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_setting_is_named_as_on_the_command_line(key: str, value: Any, named: str) -> None:
    assert_refused({key: value}, rf"^model\.json: {re.escape(named)} is not allowed: ")


def assert_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        Metadata.from_values(DESCRIPTION.values() | change, "model.json")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_an_option_that_the_head_does_not_have_is_named() -> None:
    assert_refused({"head": {"kind": "linear", "module": "os"}}, r"^model\.json: no key model\.head\.module")
    assert_refused({"head": {"self": 1}}, r"^model\.json: no key model\.head\.self")
    assert_refused({"head": {"x" * 10_000: 1}}, r"^model\.json: no key model\.head\.xxx")


def test_class_weights_that_do_not_fit_the_classes_are_refused() -> None:
    weighted = {"kind": "cross_entropy", "class_weights": [1.0, 1.0, 1.0]}
    assert_refused({"loss": weighted}, r"^model\.json: loss\.class_weights: 3 weights for 2 classes$")


@pytest.mark.parametrize("values", [None, [], 3, "x", {}])
def test_something_else_than_a_description(values: Any) -> None:
    with pytest.raises(UserError, match=r"^model\.json: (must hold an object|version is missing)"):
        Metadata.from_values(values, "model.json")


def test_a_missing_and_an_unknown_key_are_named() -> None:
    values = DESCRIPTION.values()
    assert_refused({"self": 1}, r"^model\.json: no key self")
    assert_refused({1: 1}, r"^model\.json: no key 1")  # type: ignore[dict-item]
    with pytest.raises(ValueError, match=r"^model\.json: no key _target_"):
        Metadata.from_values(values | {"_target_": "os.system"}, "model.json")
    del values["presize"]
    with pytest.raises(ValueError, match=r"^model\.json: presize is missing"):
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
