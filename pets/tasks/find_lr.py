"""Run the LR range test alone, and leave its curve as lr_finder.json, lr_finder.png and in TensorBoard."""

from hydra.utils import instantiate
from omegaconf import DictConfig

from pets import build, records
from pets.callbacks.stop import adopt, listening


def run(cfg: DictConfig) -> None:
    """Run the range test of `cfg.lr_finder`, or one with the defaults if that is off."""
    with listening() as signals:
        data = build.data_module(cfg)
        model = build.classifier(cfg, data.vocab)
        build.decide_precision(cfg, model)
        settings = cfg.lr_finder or {"_target_": "pets.callbacks.lr_finder.LRFinder", "dirpath": cfg.run_dir}
        finder = instantiate(settings, recipe=cfg.recipe, _convert_="all")
        trainer = build.trainer(cfg, max_epochs=0, callbacks=[finder])
        adopt(trainer, signals)
        if trainer.is_global_zero:
            records.start(cfg, data)
        trainer.fit(model, data)
