"""Look at the data before training: what is broken, odd, doubled or unbalanced. Reports, and never changes a file."""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from hydra.utils import instantiate
from matplotlib.figure import Figure
from omegaconf import DictConfig, OmegaConf

from pets import build
from pets.console import path_text
from pets.data.cache.build import build_cache
from pets.data.datamodule import ImageDataModule
from pets.data.duplicates import near_duplicates
from pets.data.image_table import SampleError, read_relabelled
from pets.data.images import open_image
from pets.data.sources.folder import Listing, examples
from pets.data.survey import Facts, Finding, class_advice, class_findings, findings, survey
from pets.errors import UserError, explain
from pets.evaluation.features import FeatureStore
from pets.evaluation.figures.grids import image_grid
from pets.evaluation.figures.style import write_figure
from pets.evaluation.interpretation import Suspect, suspects
from pets.evaluation.label_doubts import out_of_fold
from pets.evaluation.predictions import Predictions
from pets.files import or_warn, write_csv, write_text
from pets.machine import on_cpu
from pets.tasks.predict import default_device

log = logging.getLogger(__name__)

PICTURED = 12
"""Pairs or images in a picture; the tables hold all."""


class Duplicate(NamedTuple):
    """Two files that look the same, and the parts of the split they are in."""

    first: str
    second: str
    distance: int
    first_part: str
    second_part: str

    @property
    def across(self) -> bool:
        """Tell whether they are in different parts, so that the error rate is too good to be true."""
        return self.first_part != self.second_part


def run(cfg: DictConfig) -> None:
    """Report on the data of `cfg.data`, and with `check.predictions` or `check.features` on its labels.

    Leaves check.json, findings.csv, duplicates.csv and duplicates.png, suspects.csv and suspects.png in the run folder.
    """
    folder = Path(cfg.run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    source = instantiate(cfg.data.source, _convert_="all")
    source.prepare()
    listing: Listing = source.listing()
    facts = survey(source.root, listing.files)
    data, label_findings, counts = _labels(cfg, source.root, listing.files)
    parts = {} if data is None else _parts(data)
    found = [*findings(facts, cfg.check.min_side, cfg.check.max_side), *label_findings]
    doubles = _duplicates(facts, parts, cfg.check.max_distance)
    write_csv(folder / "findings.csv", Finding._fields, found)
    write_csv(folder / "duplicates.csv", Duplicate._fields, doubles)
    if doubles:
        with or_warn(folder / "duplicates.png"):
            write_figure(folder / "duplicates.png", _draw_duplicates(source.root, doubles))
    doubted = _suspects(cfg, source.root, listing.files, data)
    if cfg.check.features or cfg.check.predictions is not None:
        _leave_suspects(doubted, source.root, folder)
    record = {
        "images": len(listing.files),
        "ignored": listing.ignored,
        "findings": dict(Counter(finding.kind for finding in found)),
        "duplicates": {"pairs": len(doubles), "across parts": sum(double.across for double in doubles)},
        "labels": counts,
        "suspects": len(doubted),
    }
    write_text(folder / "check.json", json.dumps(record, indent=1) + "\n")
    if data is None:  # which would have said it
        log.info(str(listing))
    _tell(found, class_advice(found, cfg.data.split.method), doubles, counts, doubted, folder)


def _labels(
    cfg: DictConfig, root: Path, files: Sequence[str]
) -> tuple[ImageDataModule | None, list[Finding], dict[str, int]]:
    """Return the data module, what is wrong with labels and split, and images by label; as much of it as can be had."""
    labeller = instantiate(cfg.data.labeller, _convert_="all")
    corrected = {} if cfg.data.relabel is None else read_relabelled(cfg.data.relabel, root, files)
    counts = Counter(corrected.values())
    wrong = []
    for file in files:
        try:
            if file not in corrected:
                counts[labeller([file])[0]] += 1
        except ValueError as error:
            wrong.append(Finding("no label", file, str(error)))
    if wrong:
        return None, wrong, dict(counts.most_common())
    try:
        data: ImageDataModule = build.data_module(cfg)
    except ValueError as error:
        return None, [Finding("split", "", str(error))], dict(counts.most_common())
    if data.cache == "disk":
        with suppress(SampleError):  # the findings name it
            build_cache("disk", data.table, data.presize, show_progress=True, verify=True)
    used = Counter(data.vocab[target] for target in data.table.targets.tolist())
    return data, class_findings(data.table), dict(used.most_common())


def _parts(data: ImageDataModule) -> dict[str, str]:
    """Return part by file."""
    names = data.table.files
    return {str(names[i]): part for part, indices in data.splits._asdict().items() for i in indices}


def _duplicates(facts: Sequence[Facts], parts: dict[str, str], max_distance: int) -> list[Duplicate]:
    """Return the near-duplicates, those across parts first."""
    readable = [fact for fact in facts if fact.phash is not None]
    hashes = np.array([fact.phash for fact in readable], dtype=np.uint64)
    doubles = [
        Duplicate(first, second, pair.distance, parts.get(first, ""), parts.get(second, ""))
        for pair in near_duplicates(hashes, max_distance)
        for first, second in [(readable[pair.first].file, readable[pair.second].file)]
    ]
    return sorted(doubles, key=lambda double: (not double.across, double.distance))


def _draw_duplicates(root: Path, doubles: Sequence[Duplicate]) -> Figure:
    shown = doubles[:PICTURED]
    images = [open_image(root / file) for double in shown for file in (double.first, double.second)]
    titles = [
        f"{file} ({part or 'no part'})"
        for double in shown
        for file, part in ((double.first, double.first_part), (double.second, double.second_part))
    ]
    return image_grid(images, titles, columns=4, heading="Pairs that look the same")


def _suspects(cfg: DictConfig, root: Path, files: Sequence[str], data: ImageDataModule | None) -> list[Suspect]:
    """Return the doubted labels, by the way that is asked for."""
    if cfg.check.features and data is not None:
        try:
            predictions = _out_of_fold(cfg, data)
        except (OSError, ValueError) as error:  # an image that cannot be read is among the findings
            log.warning("check.features: labels are not searched: %s", explain(error))
            return []
        return suspects(predictions, confidence=0.0)
    if cfg.check.predictions is None:
        return []
    predictions = Predictions.load(Path(cfg.check.predictions))
    if strange := sorted(set(predictions.files.tolist()) - set(files)):
        raise UserError(
            f"check.predictions={cfg.check.predictions}: {len(strange):,} of {len(predictions):,} files are not among "
            f"the images of {root}: {examples(strange)}"
        )
    return suspects(predictions, cfg.check.confidence)


def _out_of_fold(cfg: DictConfig, data: ImageDataModule) -> Predictions:
    """Return what heads on the features of the body as it is say of images that they have not seen."""
    OmegaConf.update(cfg, "model.head.kind", "linear")  # whose last layer gets the body's features as they are
    network = build.classifier(cfg, data.vocab.classes)
    network.to("cpu" if on_cpu(cfg.trainer.accelerator) else default_device())
    rows = np.sort(np.concatenate(data.splits))
    present, targets = np.unique(data.table.targets[rows], return_inverse=True)
    classes = tuple(data.vocab[target] for target in present.tolist())
    features = FeatureStore(network, data).of(rows)
    return out_of_fold(features, torch.from_numpy(targets), data.table.files[rows], classes, cfg.model.head.shrinkage)


def _leave_suspects(doubted: Sequence[Suspect], root: Path, folder: Path) -> None:
    """Write suspects.csv, and suspects.png if there are any."""
    write_csv(folder / "suspects.csv", Suspect._fields, doubted)
    if doubted:
        with or_warn(folder / "suspects.png"):
            write_figure(folder / "suspects.png", _draw_suspects(root, doubted[:PICTURED]))


def _draw_suspects(root: Path, doubted: Sequence[Suspect]) -> Figure:
    images = [open_image(root / suspect.file) for suspect in doubted]
    titles = [f"{s.actual}? rather {s.label} ({s.p_label:.0%}) {s.file}" for s in doubted]
    return image_grid(images, titles, columns=4, heading="Labels that the classifier doubts")


def _tell(
    found: Sequence[Finding],
    advice: Sequence[str],
    doubles: Sequence[Duplicate],
    counts: dict[str, int],
    doubted: Sequence[Suspect],
    folder: Path,
) -> None:
    """Print what was found, a line a kind."""
    if counts:
        fewest, most = min(counts.values()), max(counts.values())
        each = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        log.info(f"{len(counts)} labels, {each} images each")
    for kind, count in Counter(finding.kind for finding in found).most_common():
        example = next(finding for finding in found if finding.kind == kind)
        where = f"{example.file}: " if example.file else ""
        _row(count, kind, f"{where}{example.detail}")
        if kind == "unreadable":
            log.info("       data.on_error=skip leaves them out")
    for text in advice:
        log.info(f"       {text}")
    across = sum(double.across for double in doubles)
    pair = f"{doubles[0].first} and {doubles[0].second}" if doubles else ""
    _row(len(doubles), f"near-duplicates, {across} of them across parts of the split", pair)
    if doubted:
        table = path_text(folder / "suspects.csv")
        log.info(
            f"{len(doubted):>6} doubted labels: delete the rows of suspects.csv where the model is wrong, and train"
        )
        log.info(f"       again with data.relabel={table}")
    log.info(f"tables and pictures: {path_text(folder)}")


def _row(count: int, kind: str, example: str) -> None:
    like = "such as " if count > 1 else ""
    log.info(f"{count:>6} {kind:<14} {like}{example}".rstrip())
