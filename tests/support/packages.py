"""Tiny installed packages for tests: a folder of modules with the metadata that pip would write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent


def make_package(
    folder: Path, name: str, *, modules: Mapping[str, str], entries: Mapping[str, str],
    version: str = "1.0",
) -> Path:  # fmt: skip
    """Write a distribution into a folder, which then belongs on the path; returns the folder.

    modules: path in it -> source. entries: "group:name" -> "module:attribute".
    """
    for path, source in modules.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(source), encoding="utf-8")
    meta = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    meta.mkdir(parents=True)
    (meta / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups: dict[str, list[str]] = {}
    for key, value in entries.items():
        group, _, entry = key.partition(":")
        groups.setdefault(group, []).append(f"{entry} = {value}")
    text = "".join(f"[{group}]\n" + "\n".join(own) + "\n" for group, own in groups.items())
    (meta / "entry_points.txt").write_text(text)
    return folder
