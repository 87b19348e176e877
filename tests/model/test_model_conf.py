from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

CLASSES = ["a", "b", "c"]
CONF = str(Path(__file__).parents[2] / "conf")


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("loss", ["cross_entropy", "one_vs_rest"])
def test_the_configuration_builds_the_classifier(optimizer: str, loss: str) -> None:
    with initialize_config_dir(CONF, version_base="1.3"):
        nodes = {
            group: compose(f"{group}/{name}", overrides=[])[group]
            for group, name in (("model", "resnet18"), ("loss", loss), ("optimizer", optimizer))
        }
    nodes["model"].weights = None
    model = instantiate(
        nodes["model"], classes=CLASSES, loss=instantiate(nodes["loss"]), optimizer=instantiate(nodes["optimizer"])
    )
    assert model.backbone.arch == "resnet18"
    assert model.loss.kind == loss
    assert type(model.head_options) is dict
    assert type(model.configure_optimizers()).__name__.lower() == optimizer


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "timm"])
def test_the_model_configurations_differ_only_in_the_backbone(name: str) -> None:
    with initialize_config_dir(CONF, version_base="1.3"):
        node, base = (OmegaConf.to_container(compose(f"model/{which}")["model"]) for which in (name, "resnet34"))
    assert isinstance(node, dict)
    assert isinstance(base, dict)
    assert node.keys() == base.keys()
    assert {key for key in node if key not in ("arch", "library", "weights") and node[key] != base[key]} == set()
    if name != "timm":
        assert (node["arch"], node["library"], node["weights"]) == (name, "torchvision", "IMAGENET1K_V1")
