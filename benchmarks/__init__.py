"""What `pets` costs and how sharp it is, beside fastai and beside the physical limit: `python -m benchmarks`."""
