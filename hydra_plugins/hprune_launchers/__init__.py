"""Launchers of a sweep, in the package where Hydra looks for them."""
