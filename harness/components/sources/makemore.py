"""names.txt of karpathy/makemore: 32,033 first names, downloaded once and kept in a cache."""

from __future__ import annotations

import functools
import hashlib
import http.client
import os
import tempfile
import urllib.request
from pathlib import Path

from harness.components.sources import Settings, SourceSpec, Words
from harness.components.textfiles import FILE_LIMIT
from harness.components.wordlists import parse_words, read_file
from harness.errors import DataError
from harness.paths import cache_folder

URL = "https://raw.githubusercontent.com/karpathy/makemore/master/names.txt"
SHA256 = "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d"


def load(settings: Settings) -> Words:
    """The pinned file; or data.path in its place, with a note where that is another one."""
    if not settings.path:
        return downloaded()
    found = read_file(settings.path)
    if found.sha256 == SHA256:
        return found
    note = (
        f"data.path is not the pinned names.txt of makemore (sha256 {found.sha256[:12]}..., "
        f"expected {SHA256[:12]}...); published numbers do not apply to it"
    )
    return Words(words=found.words, notes=(*found.notes, note))


@functools.lru_cache(maxsize=1)
def downloaded() -> Words:
    """names.txt from the user's cache, downloaded there once; always checked against its sha256."""
    kept = cache_folder() / "makemore-names.txt"
    notes: tuple[str, ...] = ()
    try:
        raw = kept.read_bytes()
    except OSError:
        raw = b""
    if hashlib.sha256(raw).hexdigest() != SHA256:  # absent, cut short or altered
        raw = _download(URL)
        try:
            _keep(kept, raw)
        except OSError as err:
            notes = (f"names.txt could not be kept in {kept.parent} ({err.strerror})",)
    found = parse_words(raw, "makemore's names.txt")
    return Words(words=found.words, notes=(*found.notes, *notes))


def _download(url: str) -> bytes:
    remedy = (
        "Is this machine offline? Fetch that file elsewhere and give data.path=names.txt, or use "
        "data=census, which is shipped."
    )
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 (a constant)
            raw: bytes = answer.read(FILE_LIMIT)
    except (OSError, http.client.HTTPException, ValueError) as err:
        raise DataError(f"data=makemore: {url} could not be fetched ({err}). {remedy}") from None
    got = hashlib.sha256(raw).hexdigest()
    if got != SHA256:
        raise DataError(
            f"data=makemore: {url} answered with another file (sha256 {got}; expected "
            f"{SHA256}). {remedy}"
        )
    return raw


def _keep(path: Path, raw: bytes) -> None:
    """Write a file whole or not at all, so that a second process never reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(raw)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink()
        raise


SPEC = SourceSpec(
    load=load,
    reads=("path",),
    summary="32,033 first names (names.txt of makemore), downloaded once, or data.path=",
)
