"""Fail, in one line, unless the run in the folder given as argument ended below 10% validation error."""

import json
import sys
from pathlib import Path

LIMIT = 0.10

metrics = json.loads((Path(sys.argv[1]) / "metrics.json").read_text())
error_rate, images = metrics["valid/error_rate"], metrics["n"]["valid"]
if not error_rate < LIMIT:
    sys.exit(f"the demo did not learn: error rate {error_rate:.3f} on {images} images, must be below {LIMIT}")
print(f"the demo learned: error rate {error_rate:.3f} on {images} images, in {metrics['seconds']:.0f} s")
