"""Hydra finds launchers and sweepers here alone; the work is done in `harness`, loaded on use."""
