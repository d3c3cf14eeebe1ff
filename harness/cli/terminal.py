"""Output on terminals that cannot show every character: what they lack is replaced, by "?"."""

from __future__ import annotations

import codecs
import io
import sys

# ASCII by another name: click takes a stream called "ascii" for a mistake and writes UTF-8 to it
PLAIN = "harness_ascii"


def replace_unshowable() -> None:
    """Let stdout and stderr replace what their encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            name = codecs.lookup(stream.encoding).name
            if not name.startswith("utf"):
                stream.reconfigure(encoding=PLAIN if name == "ascii" else name, errors="replace")


def _plain(name: str) -> codecs.CodecInfo | None:
    if name != PLAIN:
        return None
    own = codecs.lookup("ascii")
    return codecs.CodecInfo(
        own.encode, own.decode, streamreader=own.streamreader, streamwriter=own.streamwriter,
        incrementalencoder=own.incrementalencoder, incrementaldecoder=own.incrementaldecoder,
        name=PLAIN,
    )  # fmt: skip


codecs.register(_plain)
