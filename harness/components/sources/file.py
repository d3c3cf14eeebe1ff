"""The user's own word list: UTF-8, one word a line or a column of a table, any alphabet."""

from __future__ import annotations

from harness.components.sources import Settings, SourceSpec, Words


def load(settings: Settings) -> Words:
    """The words of data.path; read again only where the file has changed."""
    from harness.components.wordlists import read_file

    return read_file(settings.path or "", settings.end, settings.column)


SPEC = SourceSpec(
    load=load,
    reads=("path", "end", "column"),
    path="a UTF-8 word list, one word a line: data.path=words.txt",
    summary="a word list of your own: data.path=words.txt",
)
