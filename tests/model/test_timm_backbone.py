import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

timm = pytest.importorskip("timm")

from timm.layers.drop import DropPath  # noqa: E402

from pets.model.library import build_backbone  # noqa: E402
from pets.settings.model import Model  # noqa: E402

SUMMARISED = ("test_vit", "test_vit3")


@pytest.mark.parametrize("arch", ["test_resnet", "test_efficientnet", "test_vit", "test_vit3", "test_mambaout"])
def test_every_layout_becomes_a_feature_map_with_early_and_late_groups(arch: str) -> None:
    backbone = build_backbone(Model("timm", arch, None))
    features = backbone(torch.zeros(2, 3, 160, 160))
    assert features.shape[:2] == (2, backbone.n_features)
    assert features.shape[2] == features.shape[3] > 1
    assert {backbone.group_of(name) for name, _ in backbone.named_parameters()} == {"early", "late"}
    features.square().sum().backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())


def test_tokens_keep_their_place_in_the_image() -> None:
    backbone = build_backbone(Model("timm", "test_vit", None)).eval()
    images = torch.zeros(1, 3, 160, 160)
    changed = images.clone()
    changed[:, :, :16, 16:32] = 1  # the patch in row 0, column 1
    model: Any = backbone.body.model
    with torch.no_grad():
        tokens = (model.patch_embed(changed) - model.patch_embed(images)).reshape(1, 100, -1)
        assert tokens.abs().sum(dim=2).nonzero().tolist() == [[0, 1]]
        prefix = model.forward_features(changed)[:, model.num_prefix_tokens :]
        features = backbone(changed)
        assert torch.equal(features[0, :64, 0, 1], prefix[0, 1])
        token = model.forward_features(changed)[0, 0]
        assert torch.equal(features[0, 64:], token[:, None, None].expand(-1, 10, 10))


@pytest.mark.parametrize(
    ("arch", "n_features"), [("test_vit", 128), ("test_vit3", 192), ("test_vit2", 64), ("test_convnext", 64)]
)
def test_the_head_sees_what_the_weights_say_of_the_whole_image(arch: str, n_features: int) -> None:
    backbone, without = (build_backbone(Model("timm", arch, None, class_token=token)).eval() for token in (True, False))
    model: Any = backbone.body.model
    images = torch.rand(2, 3, 160, 160)
    with torch.no_grad():
        pooled = backbone(images).mean((2, 3))
        assert pooled.shape == (2, backbone.n_features) == (2, n_features)
        if arch in SUMMARISED:
            tokens = model.forward_features(images)
            own = model.attn_pool(tokens) if arch == "test_vit3" else tokens[:, 0]
            torch.testing.assert_close(pooled[:, without.n_features :], own)
        assert without(images).shape[1] == without.n_features == (n_features // 2 if arch in SUMMARISED else n_features)


def test_the_class_token_of_dinov3_is_seen_though_timm_averages() -> None:
    with torch.device("meta"):
        backbone = build_backbone(Model("timm", "vit_small_patch16_dinov3", None))
    assert backbone.n_features == 2 * 384


@pytest.mark.parametrize(
    ("arch", "fits", "refused", "allowed"),
    [
        ("vit_small_patch14_dinov2", [154, 224, 518], 160, "154 or 168"),
        ("vit_base_patch16_224", [160, 224, 384], 150, "144 or 160"),
        ("vit_base_patch16_siglip_224", [160, 224], 230, "224 or 240"),
        ("vit_small_patch16_dinov3", [160, 224], 250, "240 or 256"),
        ("swin_tiny_patch4_window7_224", [160, 224, 256], 222, "220 or 224"),
        ("swinv2_tiny_window8_256", [160, 224, 256], 255, "252 or 256"),
        ("beit_base_patch16_224", [224], 160, "224"),
        ("mobilenetv4_conv_small_035", [33, 160, 299], None, ""),
    ],
)
def test_sizes_that_an_architecture_takes(arch: str, fits: list[int], refused: int | None, allowed: str) -> None:
    with torch.device("meta"):
        backbone = build_backbone(Model("timm", arch, None))
    for size in fits:
        backbone.check_size(size, "augment.size")
    if refused:
        with pytest.raises(ValueError, match=rf"^augment\.size={refused} is not allowed: {allowed} for {arch}$"):
            backbone.check_size(refused, "augment.size")


def test_stochastic_depth_grows_with_depth() -> None:
    rates = [m.drop_prob for m in build_backbone(Model("timm", "test_vit", None, drop_path=0.3)).modules()
             if isinstance(m, DropPath)]  # fmt: skip
    assert rates == sorted(rates)
    assert max(rates) == pytest.approx(0.3)
    assert all(not isinstance(m, DropPath) for m in build_backbone(Model("timm", "test_vit", None)).modules())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"drop_path": 0.1}, r"model\.drop_path=0\.1 is not allowed: null, for vgg11 has no stochastic depth"),
        ({"grad_checkpointing": True}, r"model\.grad_checkpointing=true is not allowed: false for vgg11"),
        ({"groups": 60}, r"model\.groups=60 is not allowed: from 3 to \d+ for vgg11"),
    ],
)
def test_what_an_architecture_cannot_do_is_one_line(options: dict[str, Any], message: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=f"^{message}$"):
        build_backbone(Model("timm", "vgg11", None, **options))


@pytest.mark.parametrize("arch", ["test_vit", "test_resnet", "test_convnext"])
def test_checkpointing_computes_the_same_gradients_with_fewer_activations(arch: str) -> None:
    kept, gradients = [], []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        backbone = build_backbone(Model("timm", arch, None, drop_path=0.2, grad_checkpointing=checkpointing)).train()
        torch.manual_seed(1)
        sizes: list[int] = []
        keep = partial(_count, sizes)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = backbone(torch.rand(2, 3, 96, 96)).square().mean()
        loss.backward()
        kept.append(sum(sizes))
        gradients.append([parameter.grad for parameter in backbone.parameters()])
    assert kept[1] < 0.7 * kept[0]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


def _count(sizes: list[int], tensor: torch.Tensor) -> torch.Tensor:
    sizes.append(tensor.numel())
    return tensor


def test_a_resnet_of_timm_splits_as_torchvisions() -> None:
    backbone = build_backbone(Model("timm", "resnet18", None))
    early = {name.split(".")[2] for name, _ in backbone.named_parameters() if backbone.group_of(name) == "early"}
    assert early == {"conv1", "bn1", "layer1", "layer2"}


def test_statistics_are_the_models_own() -> None:
    assert build_backbone(Model("timm", "test_vit", None)).mean == (0.5, 0.5, 0.5)
    assert build_backbone(Model("timm", "resnet18", None)).mean == (0.485, 0.456, 0.406)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_local_state_dict_is_loaded_without_its_classifier(tmp_path: Path, suffix: str) -> None:
    model = timm.create_model("test_efficientnet").eval()
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(model.state_dict(), path)
    backbone = build_backbone(Model("timm", "test_efficientnet", str(path))).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(backbone(images), model.forward_features(images))


def test_a_state_dict_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vit.pt"
    torch.save(timm.create_model("test_vit").state_dict(), path)
    with pytest.raises(ValueError, match=r"vit\.pt: the state dict does not fit the model: .* missing: conv_stem"):
        build_backbone(Model("timm", "test_efficientnet", str(path)))


def test_weights_by_name_come_from_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = timm.create_model("test_resnet").eval()
    repository = tmp_path / "models--timm--test_resnet.r160_in1k"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    (repository / "snapshots" / ("0" * 40)).mkdir(parents=True)
    save_file(model.state_dict(), repository / "snapshots" / ("0" * 40) / "model.safetensors")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    images = torch.rand(2, 3, 64, 64)
    for weights in ("default", "r160_in1k"):
        backbone = build_backbone(Model("timm", "test_resnet", weights)).eval()
        with torch.no_grad():
            assert torch.equal(backbone(images), model.forward_features(images))


def test_without_network_one_line_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match=r"weights test_resnet could not .*model\.weights=PATH .*=null") as caught:
        build_backbone(Model("timm", "test_resnet", "default"))
    assert "\n" not in str(caught.value)


def test_what_timm_does_not_know_is_refused() -> None:
    for arch in ("resnet1234", "resnet18.no_such_tag", "hf-hub:someone/model", "local-dir:/tmp"):
        with pytest.raises(ValueError, match=r"model\.arch="):
            build_backbone(Model("timm", arch, None))
    with pytest.raises(FileNotFoundError, match=r"model\.weights='no_tag'.*default, r160_in1k, the path"):
        build_backbone(Model("timm", "test_resnet", "no_tag"))


def test_a_model_without_a_feature_map_is_refused() -> None:
    with pytest.raises(ValueError, match="has no feature map"):
        build_backbone(Model("timm", "efficientvit_b0", None))


def test_without_timm_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.delitem(sys.modules, "pets.model.timm_backbone")
    with pytest.raises(ModuleNotFoundError, match=r'pip install "pets\[timm\]"'):
        build_backbone(Model("timm", "resnet18", None))


def test_real_weights_load_with_their_own_statistics(real_data: Path) -> None:
    path = real_data / "weights" / "tf_efficientnet_lite0.pt"
    backbone = build_backbone(Model("timm", "tf_efficientnet_lite0", str(path))).eval()
    assert backbone.mean == backbone.std == (0.5, 0.5, 0.5)
    model: Any = backbone.body.model
    state = torch.load(path, weights_only=True)
    assert torch.equal(model.conv_stem.weight, state["conv_stem.weight"])
    with torch.no_grad():
        assert backbone(torch.zeros(1, 3, 224, 224)).shape == (1, 1280, 7, 7)
