"""`data.cache`: resized images that are kept, in memory or on the disk, so that none is decoded twice."""
