import hashlib
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision
from torchvision.models import ResNet, ResNet18_Weights

from pets.model.library import build_backbone
from pets.settings.model import RESNETS, Model


@pytest.fixture(scope="module")
def resnet18() -> ResNet:
    """torchvision's own model, with running statistics that are not those of a new one."""
    torch.manual_seed(1)
    model = torchvision.models.resnet18(weights=None)
    model.train()(torch.rand(4, 3, 64, 64))
    return model.eval()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torchvision's cache folder, empty, on a machine without network."""

    def no_network(*args: object, **kwargs: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", no_network)
    checkpoints = tmp_path / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    return checkpoints


def assert_same_features(backbone: torch.nn.Module, resnet: ResNet) -> None:
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        pooled = backbone.eval()(images).mean((2, 3))
        torch.testing.assert_close(resnet.fc(pooled), resnet(images))


@pytest.mark.parametrize("arch", RESNETS)
def test_every_resnet_keeps_torchvisions_keys_and_splits_after_layer2(arch: str) -> None:
    with torch.device("meta"):
        backbone = build_backbone(Model("torchvision", arch, None))
        resnet = torchvision.models.get_model(arch)
    keys = {key.removeprefix("body.") for key in backbone.state_dict()}
    assert keys == {key for key in resnet.state_dict() if not key.startswith("fc.")}
    assert backbone.n_features == resnet.fc.in_features
    early = {name.split(".")[1] for name, _ in backbone.named_parameters() if backbone.group_of(name) == "early"}
    late = {name.split(".")[1] for name, _ in backbone.named_parameters() if backbone.group_of(name) == "late"}
    assert (early, late) == ({"conv1", "bn1", "layer1", "layer2"}, {"layer3", "layer4"})


def test_statistics_are_imagenets_with_and_without_weights() -> None:
    backbone = build_backbone(Model("torchvision", "resnet18", None))
    assert backbone.mean == (0.485, 0.456, 0.406)
    assert backbone.std == (0.229, 0.224, 0.225)
    assert backbone(torch.zeros(2, 3, 64, 96)).shape == (2, 512, 2, 3)


def test_unknown_names_say_what_is_allowed() -> None:
    with pytest.raises(
        ValueError, match=r"^model\.arch='resnet35' is not allowed: resnet18, .*, or any name with model\.library=timm$"
    ):
        build_backbone(Model("torchvision", "resnet35", None))
    with pytest.raises(ValueError, match=r"model\.library='keras'"):
        build_backbone(Model("keras", "resnet18", None))  # type: ignore[arg-type]
    for weights in ("IMAGENET1K_V3", "DEFAULT"):
        with pytest.raises(FileNotFoundError, match=rf"model\.weights='{weights}'.*IMAGENET1K_V1, IMAGENET1K_V2, the"):
            build_backbone(Model("torchvision", "resnet50", weights))
    with pytest.raises(ValueError, match="belongs to no layer group"):
        build_backbone(Model("torchvision", "resnet18", None)).group_of("body.conv9.weight")


def test_a_local_state_dict_is_loaded_without_its_classifier(tmp_path: Path, resnet18: torch.nn.Module) -> None:
    whole, body = tmp_path / "whole.pt", tmp_path / "body.pt"
    torch.save(resnet18.state_dict(), whole)
    torch.save({key: value for key, value in resnet18.state_dict().items() if not key.startswith("fc.")}, body)
    for path in (whole, body):
        assert_same_features(build_backbone(Model("torchvision", "resnet18", str(path))), resnet18)


def test_a_state_dict_of_another_arch_is_refused(tmp_path: Path, resnet18: torch.nn.Module) -> None:
    path = tmp_path / "resnet18.pt"
    torch.save(resnet18.state_dict(), path)
    with pytest.raises(ValueError, match=r"resnet18\.pt: .*missing: layer1\.2\.conv1\.weight"):
        build_backbone(Model("torchvision", "resnet34", str(path)))


def test_published_weights_come_from_torchvisions_cache(hub: Path, resnet18: torch.nn.Module) -> None:
    torch.save(resnet18.state_dict(), hub / "resnet18-f37072fd.pth")
    assert_same_features(build_backbone(Model("torchvision", "resnet18", "IMAGENET1K_V1")), resnet18)


def test_published_weights_are_downloaded_into_the_cache_and_checked(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resnet18: torch.nn.Module
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    served = tmp_path / "served.pth"
    torch.save(resnet18.state_dict(), served)
    digest = hashlib.sha256(served.read_bytes()).hexdigest()
    good, bad = (served.rename(tmp_path / f"resnet18-{digest[:8]}.pth"), tmp_path / "resnet18-01234567.pth")
    bad.write_bytes(good.read_bytes())

    monkeypatch.setattr(ResNet18_Weights.IMAGENET1K_V1.value, "url", bad.as_uri())
    with pytest.raises(OSError, match=r"weights IMAGENET1K_V1 of resnet18 .* invalid hash"):
        build_backbone(Model("torchvision", "resnet18", "IMAGENET1K_V1"))
    assert list(hub.iterdir()) == []

    monkeypatch.setattr(ResNet18_Weights.IMAGENET1K_V1.value, "url", good.as_uri())
    assert_same_features(build_backbone(Model("torchvision", "resnet18", "IMAGENET1K_V1")), resnet18)
    assert [path.name for path in hub.iterdir()] == [good.name]


def test_without_network_one_line_says_what_to_do(hub: Path) -> None:
    with pytest.raises(OSError, match=r"weights IMAGENET1K_V2 of resnet50 .*no route to host.*=PATH .*=null") as caught:
        build_backbone(Model("torchvision", "resnet50", "IMAGENET1K_V2"))
    assert "\n" not in str(caught.value)


def test_a_damaged_file_in_the_cache_is_never_taken_for_a_good_one(hub: Path, resnet18: torch.nn.Module) -> None:
    path = hub / "resnet18-f37072fd.pth"
    torch.save(resnet18.state_dict(), path)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(OSError, match=rf"weights IMAGENET1K_V1 of resnet18 .*{hub.parent}"):
        build_backbone(Model("torchvision", "resnet18", "IMAGENET1K_V1"))
