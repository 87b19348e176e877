"""Hydra finds plugins by the name of this namespace package."""
