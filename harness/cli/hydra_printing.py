"""What Hydra prints when asked for help or a config, put right."""

from __future__ import annotations

import contextlib
import io
import textwrap
from collections.abc import Iterator
from typing import Any

from hydra._internal.hydra import Hydra
from omegaconf import DictConfig, OmegaConf

WIDTH = 80


@contextlib.contextmanager
def wrapped() -> Iterator[None]:
    """Long lines of what is printed are broken between words: Hydra's lists know no width."""
    text = io.StringIO()
    try:
        with contextlib.redirect_stdout(text):
            yield
    finally:
        for line in text.getvalue().splitlines():
            print("\n".join(textwrap.wrap(line, WIDTH, subsequent_indent="  ")) or "")


@contextlib.contextmanager
def resolved_whole() -> Iterator[None]:
    """Let Hydra's own settings be printed with references to ours: it resolves them alone."""
    hydra: Any = Hydra
    before = hydra.get_sanitized_hydra_cfg

    def sanitized(config: DictConfig) -> DictConfig:
        OmegaConf.resolve(config.hydra)
        alone: DictConfig = before(config)
        return alone

    hydra.get_sanitized_hydra_cfg = staticmethod(sanitized)
    try:
        yield
    finally:
        hydra.get_sanitized_hydra_cfg = staticmethod(before)
