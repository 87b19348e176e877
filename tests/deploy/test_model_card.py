"""The card says what was measured on what, and nothing that was not."""

import re
from typing import Any

import pytest
import yaml

from pets.data.presize import Presize
from pets.deploy.metadata import Metadata
from pets.deploy.model_card import UNKNOWN_LICENCE, model_card
from tests.deploy.test_metadata import SPEC

METRICS = {
    "valid/error_rate": 0.0541,
    "n": {"train": 296, "valid": 74, "test": 0},
    "split": {"_target_": "pets.data.splits.SplitRule", "method": "random", "valid_pct": 0.2, "seed": 42},
    "seed": 7,
}
CONFIG = {"data": {"source": {"_target_": "pets.data.sources.oxford_pets.OxfordPets"}}}


def card(**changes: Any) -> str:
    options: dict[str, Any] = {"metrics": METRICS, "config": CONFIG, "licence": "cc-by-sa-4.0", "onnx": True}
    return model_card(Metadata(SPEC, Presize(256), 160, 0.25, 0.05), **options | changes)


def test_the_error_stands_with_its_number_of_images_and_its_interval() -> None:
    assert "| valid | 74 | 4 | 5.4% | 2.1% to 13.1% |" in card()
    assert "| test |" not in card()
    assert "Images: 296 train, 74 valid. Split: method=random, valid_pct=0.2, seed=42. Seed of the run: 7." in card()


def test_a_test_part_is_quoted_too() -> None:
    metrics = METRICS | {"test/error_rate": 0.5, "n": {"train": 10, "valid": 74, "test": 10}}
    text = card(metrics=metrics)
    assert "| test | 10 | 5 | 50.0% | 23.7% to 76.3% |" in text
    assert "a little too low" not in text
    assert "a little too low" in card()


def test_what_is_not_known_is_said() -> None:
    text = card(metrics=None, config=None, licence=None, onnx=False)
    assert "Not measured" in text
    assert "images that came with no description" in text
    assert UNKNOWN_LICENCE in text
    assert "onnx" not in text
    assert "license:" not in text


@pytest.mark.parametrize("licence", ["cc-by-sa-4.0", None])
def test_the_metadata_block_is_yaml(licence: str | None) -> None:
    block = re.match(r"---\n(.*?)\n---\n\n# resnet18 for 2 classes\n", card(licence=licence), re.DOTALL)
    assert block
    assert yaml.safe_load(block[1]).get("license") == licence


def test_data_licence_classes_and_threshold() -> None:
    text = card()
    assert "Oxford-IIIT Pet (Parkhi et al., 2012), photographs under CC BY-SA 4.0" in text
    assert "pug, Birman" in text
    assert "below a probability of 0.250 it is none of the classes" in text
    assert "of images of the classes 5.0% are refused" in text


def test_names_of_classes_are_shown_and_do_nothing() -> None:
    names = ["<img src=x onerror=alert(1)>", "[a](http://x)", "two\n# lines", "great_pyrenees"]
    spec = SPEC | {"classes": names, "weights": "a | b\n\n# c"}
    text = model_card(
        Metadata(spec, Presize(256), 160),
        metrics=None,
        config={"data": "x"},
        licence="MIT\ntags: [x]",
        onnx=False,
    )
    assert "<img" not in text
    assert "[a](" not in text
    assert "\n# lines" not in text
    assert r"\[a\](http://x), two\\n# lines, great_pyrenees" in text
    assert yaml.safe_load(text.split("---")[1])["license"] == "MIT\ntags: [x]"
    assert r"| Started from | a \| b\\n\\n# c |" in text
