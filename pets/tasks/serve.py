"""Serve a page on which photographs are predicted and labels corrected, until Ctrl-C."""

import logging
import signal

from omegaconf import DictConfig

from pets import records
from pets.console import path_text
from pets.deploy.corrections import Corrections
from pets.deploy.predictor import Predictor
from pets.deploy.server import PredictionServer
from pets.tasks.predict import default_device

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Serve the model of `ckpt_path` on `serve.host` and `serve.port`.

    Raises:
        ValueError: `ckpt_path`, the address or the table of corrections is not what it should be.
    """
    predictor = Predictor.load(cfg.ckpt_path, device=cfg.predict.device or default_device(), top_k=cfg.predict.top_k)
    corrections = Corrections(cfg.serve.corrections)
    with PredictionServer(predictor, corrections, cfg.serve.host, cfg.serve.port) as server:
        records.write_config(cfg)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # how services are ended
        try:
            log.info(f"{path_text(predictor.origin)}\n  page: {server.url}\n  Ctrl-C ends it")
            server.serve_forever()
        except KeyboardInterrupt:
            n = len(corrections.labels)
            log.info(f"stopped; {n:,} corrected label{'' if n == 1 else 's'} in {path_text(corrections.path)}")
