"""Where the project's own YAML stands: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

from harness.errors import HarnessError


def conf_dir() -> Path:
    """Absolute path of conf/; a checkout's own conf/ wins, so that edits there take effect."""
    here = Path(__file__).resolve().parent
    for folder in (here / "conf", here.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise HarnessError(f"conf/config.yaml stands neither in {here} nor beside it; install again.")
