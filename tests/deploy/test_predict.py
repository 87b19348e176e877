"""The script of an exported folder predicts what `Predictor` does, where neither pets nor Lightning is installed."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pets import Predictor
from pets.data.presize import Presize
from pets.deploy import predict
from pets.deploy.export import missing_for_onnx
from pets.settings.data import INTERPOLATIONS, METHODS, Interpolation, PresizeMethod
from tests.deploy.conftest import SIDE, export_folder, requires_onnx, save_checkpoint

OURS = "pets safetensors lightning hydra omegaconf timm torchvision onnx"
BLOCK = "import runpy, sys\nsys.modules.update(dict.fromkeys({blocked!r}.split()))\nsys.argv = sys.argv[1:]\n"
RUN = "runpy.run_path('predict.py', run_name='__main__')"
PRESIZES = [Presize(SIDE), Presize(SIDE, "pad"), Presize(SIDE, "squish", "bilinear"), Presize(SIDE + 50, "native")]
ROUNDED = 1e-4
"""The script prints four decimals."""


@pytest.fixture(scope="module", params=PRESIZES, ids=lambda presize: presize.method)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported folder for each way of presizing."""
    root = tmp_path_factory.mktemp(request.param.method)
    save_checkpoint(root / "last.ckpt", presize=request.param)
    return export_folder(root / "last.ckpt", root / "model", onnx=not missing_for_onnx())


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A wide photograph, a tall one that is stored turned, and one that is partly transparent."""
    root = tmp_path_factory.mktemp("photos")
    noise = np.random.default_rng(0).integers(0, 256, (81, 120, 4), dtype=np.uint8)
    image = Image.fromarray(noise)
    turned = Image.Exif()
    turned[0x0112] = 6
    image.convert("RGB").resize((203, 100)).save(root / "wide.jpg")
    image.convert("RGB").save(root / "turned.jpg", exif=turned)
    image.resize((60, 90)).save(root / "transparent.png")
    return sorted(root.iterdir())


def run(folder: Path, blocked: str, *photos: Path | str) -> str:
    """Return what the script prints where some packages are missing."""
    code = BLOCK.format(blocked=blocked) + RUN
    command = [sys.executable, "-c", code, "predict.py", *map(str, photos)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def compare(folder: Path, printed: str, photos: list[Path]) -> None:
    """Assert that every class and probability printed is the predictor's."""
    lines = printed.splitlines()
    assert len(lines) == len(photos)
    for line, photo, prediction in zip(lines, photos, Predictor.load(folder)(photos), strict=True):
        found = re.findall(r"(\w+) (\d\.\d{4})", line.removeprefix(f"{photo}: "))
        assert [label for label, _ in found] == [label for label, _ in prediction.top]
        assert [float(value) for _, value in found] == pytest.approx([p for _, p in prediction.top], abs=ROUNDED)


def test_the_script_needs_numpy_pillow_and_torch_only(folder: Path, photos: list[Path]) -> None:
    compare(folder, run(folder, f"{OURS} onnxruntime", *photos), photos)


@requires_onnx
def test_the_script_needs_numpy_pillow_and_onnxruntime_only(folder: Path, photos: list[Path]) -> None:
    compare(folder, run(folder, f"{OURS} torch", *photos), photos)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_the_square_is_that_of_the_item_transform_to_the_bit(
    method: PresizeMethod, interpolation: Interpolation
) -> None:
    rng = np.random.default_rng(0)
    for height, width in ((100, 203), (300, 81), (30, 40), (7, 90), (64, 64), (65, 66)):
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        canvas, side = Presize(SIDE, method, interpolation)(torch.from_numpy(image).permute(2, 0, 1))
        expected = canvas[:, :side, :side].permute(1, 2, 0).numpy()
        assert np.array_equal(predict.presized(image, SIDE, method, interpolation), expected), (height, width)


def test_below_the_threshold_it_is_none_of_the_classes(exported: Path, photos: list[Path], tmp_path: Path) -> None:
    folder = shutil.copytree(exported, tmp_path / "model")
    metadata = (folder / "model.json").read_text()
    (folder / "model.json").write_text(metadata.replace('"threshold": null', '"threshold": 0.99'))
    assert run(folder, OURS, photos[0]).startswith(f"{photos[0]}: none of the classes (")
    compare(folder, run(folder, OURS, photos[0]), photos[:1])


def test_the_card_says_how_the_script_is_run(exported: Path) -> None:
    assert "```bash\npython predict.py photo.jpg\n```" in (exported / "README.md").read_text()
    assert (exported / "predict.py").read_bytes() == Path(predict.__file__).read_bytes()
