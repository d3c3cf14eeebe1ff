"""The user's own running text, of which every character is to be predicted."""

from __future__ import annotations

import functools

from harness.components.sources import Settings, SourceSpec, Text
from harness.components.wordnotes import odd_notes
from harness.errors import DataError

PADS = "\u2400\u2205\u25a1\ue000"  # the symbol for null, then others that hardly any text holds


def load(settings: Settings) -> Text:
    """The text of data.path, line ends LF, in NFC; read again only where the file has changed."""
    from harness.components.textfiles import read_text

    return _checked(*read_text(settings.path or "", "a UTF-8 text"))


@functools.lru_cache(maxsize=4)
def _checked(text: str, where: str, noted: tuple[str, ...]) -> Text:
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(
            f"{where}, line {line}: the control character U+0000; allowed: plain UTF-8 text. Is "
            "this a text file?"
        )
    pad = next((symbol for symbol in PADS if symbol not in text), None)
    if pad is None:
        raise DataError(
            f"{where} holds all of {', '.join(PADS)}; one of them must be free to fill the "
            "contexts of its first characters. Remove one."
        )
    return Text(text=text, pad=pad, notes=(*noted, *odd_notes([text])))


SPEC = SourceSpec(
    load=load,
    running=True,
    unique_words=False,  # there are no words to be repeated
    reads=("path",),
    path="a UTF-8 text of any kind: data.path=book.txt",
    summary="running text of your own, each character from those before it: data.path=book.txt",
)
