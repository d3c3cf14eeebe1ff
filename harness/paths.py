"""Where the project's YAML and the user's cache are, and whether a path can be one at all."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from harness.errors import ConfigError, HarnessError, shown

PICTURES = (".svg", ".png", ".pdf")  # kinds of files that figures are written to
NAME_BYTES, PATH_BYTES = 255, 4000  # of one name and of a whole path, on usual file systems


def check_path(key: str, text: str) -> None:
    """ConfigError for what no file system takes: too long, or with characters of no text."""
    longest = max((len(part.encode(errors="replace")) for part in text.split("/")), default=0)
    if longest > NAME_BYTES or len(text.encode(errors="replace")) > PATH_BYTES:
        raise ConfigError(
            f"{key} is {shown(text)}; allowed: a path of at most {PATH_BYTES} bytes, each name in "
            f"it at most {NAME_BYTES}."
        )
    if "\x00" in text:
        raise ConfigError(f"{key} is {shown(text)}; it holds a NUL character, remove it.")


def check_output(key: str, text: str) -> None:
    """ConfigError unless a file can be written there; called before the work that fills it."""
    check_path(key, text)
    path = Path(text)
    try:
        folder, is_folder = path.absolute().parent.is_dir(), path.is_dir()
    except OSError as error:
        raise ConfigError(f"{key} is {shown(text)}: {error.strerror}.") from None
    if not folder:
        raise ConfigError(
            f"{key} is {shown(text)}, and there is no folder {path.absolute().parent}; make it "
            "first, or name another file."
        )
    if is_folder:
        raise ConfigError(f"{key} is {shown(text)}, which is a folder; name a file in it.")


def check_picture(key: str, text: str) -> None:
    """ConfigError unless a picture can be written there, of a kind that its suffix names."""
    if Path(text).suffix not in PICTURES:
        raise ConfigError(f"{key} is {text!r}; allowed: a file ending in .svg, .png or .pdf.")
    check_output(key, text)


def conf_dir() -> Path:
    """Absolute path of conf/: beside the package in a checkout, inside it in a wheel."""
    here = Path(__file__).resolve().parent
    for folder in (here / "conf", here.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise HarnessError(f"conf/config.yaml stands neither in {here} nor beside it; install again.")


def cache_folder() -> Path:
    """Where downloads and built kernels are kept: XDG_CACHE_HOME, or what the platform uses."""
    chosen = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if chosen.is_absolute():  # the XDG specification says to ignore relative ones
        return chosen / "harness"
    try:
        home = Path.home()
    except RuntimeError:  # no home folder at all, as in some containers
        home = Path(tempfile.gettempdir())
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "harness"
    return home / ".cache" / "harness"
