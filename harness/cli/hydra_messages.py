"""What Hydra and OmegaConf say of a config, in one line and in the user's words."""

from __future__ import annotations

import re

# in what Hydra says of an override that its grammar does not know
GRAMMAR = ("overrid", "LexerNoViableAlt", "no viable alternative", "mismatched input", "extraneous")


def in_words(error: Exception) -> str:
    """Hydra's or OmegaConf's message as one line, the setting first and no inner types."""
    text = " ".join(f"{error} {error.__cause__ or ''}".split())
    text = re.sub(r" See https://hydra\.cc/\S*override_grammar/\S*( for details)?", "", text)
    grid = re.search(r"Ambiguous value for argument '(.*?)' 1\.", text)
    if grid:
        name = grid[1].partition("=")[0]
        return (
            f"{grid[1]} gives {name} several values, which make a grid; allowed: a grid with "
            "`harness sweep` (`harness estimate --sweep`), a list as key=[a,b], a text with a "
            "comma quoted twice as 'key=\"a,b\"'."
        )
    key = getattr(error, "full_key", None)
    text = re.sub(r" (full_key: \S*|object_type=\S*|reference_type=\S*)", "", text)
    if any(sign in text for sign in GRAMMAR):
        text += ". Allowed: key=value, a grid as key=a,b; quote odd text twice: 'key=\"a b\"'"
    return f"{key}: {text}." if key else text or type(error).__name__
