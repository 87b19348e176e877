"""Run the LR range test alone, and leave its curve as lr_finder.json, lr_finder.png and in TensorBoard."""

from hydra.utils import instantiate
from omegaconf import DictConfig

from pets import build
from pets.runs import run_folder


def run(cfg: DictConfig) -> None:
    """Run the range test of `cfg.lr_finder`, or one with the defaults if that is off."""
    data = build.data_module(cfg)
    model = build.classifier(cfg, data.vocab)
    settings = cfg.lr_finder or {"_target_": "pets.callbacks.lr_finder.LRFinder", "dirpath": cfg.run_dir}
    trainer = build.trainer(cfg, max_epochs=0, callbacks=[instantiate(settings, recipe=cfg.recipe)])
    if trainer.is_global_zero:
        run_folder.start(cfg, data)
    trainer.fit(model, data)
