"""How a sweep ended: its verdicts with what the runs of each share, and what to ask next.

A cause is one level of a setting that varied, or the lower or upper end of a number: the one that
goes best with the verdict. It is named where all runs of the verdict have it, or most do and far
more of those that have it than of the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.analysis.levels import Key, key_of
from harness.config.keys import rule_of
from harness.numerics.digits import number
from harness.records.ranking import Ranking, Row
from harness.records.verdicts import VERDICTS, spread

LINK = 0.3  # phi, the correlation of two yes-or-no facts; a looser link is not named as a cause
LR = "optim.lr"
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Cause:
    """What runs of one verdict share. whole: all of them have it; link: its phi with the verdict.

    words: "loss.name=mse", "optim.lr>=1".
    """

    words: str
    whole: bool
    link: float


def verdict_words(rows: Sequence[Row], varying: Sequence[str]) -> str:
    """As "48 diverged, all loss.name=mse; 9 overfit (excess 0.02 to 0.31)", worst first.

    rows: one per finished run, at least one; varying: settings that differ between them.
    """
    counted = Counter(str(row["verdict"]) for row in rows)
    parts, among = [], list(rows)
    for verdict in [v for v in reversed(VERDICTS) if counted[v]]:
        deciding = spread(row for row in rows if row["verdict"] == verdict)
        words = f"{counted[verdict]:,} {verdict}{f' ({deciding})' if deciding else ''}"
        mine = np.array([row["verdict"] == verdict for row in among])
        found = cause(mine, _keys(among, varying))
        if verdict == "diverged":  # the others are told apart among the runs that finished
            among = [row for row in among if row["verdict"] != "diverged"]
        if len(counted) == 1:
            words = f"all {words}" if len(rows) > 1 else words
        elif found:
            words += f", {'all' if found.whole else 'most at'} {found.words}"
        parts.append(words)
    return "; ".join(parts)


def cause(mine: Mask, keys: Sequence[Key]) -> Cause | None:
    """What these runs share and the others do not; None where nothing stands out.

    mine: per run, whether it is one of them, (N,).
    """
    if mine.sum() < 2 or mine.all():
        return None
    best: tuple[tuple[Any, ...], Cause] | None = None
    for key in keys:
        for words, has in _levels(key):
            both = int((mine & has).sum())
            if 2 * both <= mine.sum() or has.all():
                continue
            one = Cause(words=words, whole=both == mine.sum(), link=phi(mine, has))
            rank = (round(one.link, 9), one.whole, "=" in words)
            if one.link >= LINK and (best is None or rank > best[0]):
                best = rank, one
    return best[1] if best else None


def phi(one: Mask, other: Mask) -> float:
    """Correlation of two yes-or-no facts about the same runs, 1 where they are the same."""
    n = len(one)
    a, b, both = float(one.sum()), float(other.sum()), float((one & other).sum())
    spread = (a * (n - a) * b * (n - b)) ** 0.5
    return (n * both - a * b) / spread if spread else 0.0


def _keys(rows: Sequence[Row], varying: Sequence[str]) -> list[Key]:
    names = [n for n in varying if not n.endswith("seed") and rule_of(n)["numeric"]]
    every = [key_of(name, [row.get(name) for row in rows]) for name in names]
    return [key for key in every if len(key.values) > 1]


def _levels(key: Key) -> Iterator[tuple[str, Mask]]:
    """Each level in words, and which runs have it; of numbers, both ends too."""
    last = len(key.labels) - 1
    for i, label in enumerate(key.labels):
        yield f"{key.name}={label}" if not key.binned else f"{key.name} in {label}", key.codes == i
    if key.numeric and not key.binned:
        for i in range(1, last):
            yield f"{key.name}<={key.labels[i]}", key.codes <= i
            yield f"{key.name}>={key.labels[i]}", key.codes >= i


def questions(rows: Sequence[Row], varying: Sequence[str], found: Ranking) -> list[str]:
    """What the sweep leaves open, the most pressing first; at most two."""
    out = []
    keys = {key.name: key for key in _keys(rows, varying)}
    counted = Counter(str(row["verdict"]) for row in rows)
    diverged = np.array([row["verdict"] == "diverged" for row in rows])
    lost = cause(diverged, [key for name, key in keys.items() if name != LR])
    if lost and lost.whole and LR not in keys:
        out.append(
            f"{lost.words} may need a lower learning rate than the others: sweep {LR} there."
        )
    if found.best is not None:
        out += [
            words for key in keys.values()
            if (words := _at_an_end(key, found.best.places[0]))
        ]  # fmt: skip
    if "loss.name" in keys and LR not in keys and not out:
        out.append(f"One learning rate for all losses may favour some: sweep {LR} as well.")
    finished = len(rows) - counted["diverged"]
    if finished and counted["underfit"] == finished:
        out.append("Every run that finished is underfit: train longer (train.steps) or wider.")
    if finished and counted["overfit"] == finished:
        out.append("Every run that finished is overfit: sweep reg.strength, or use more data.")
    if finished and counted["unvalidated"] == finished:
        out.append("Nothing says what holds on new examples: data.split=[.8,.1,.1] keeps some.")
    if len(found.standings) > 1 and all(one.value.n <= 1 for one in found.standings):
        out.append("One seed each, so differences may be chance: sweep seed=0,1,2 as well.")
    return out[:2]


def _at_an_end(key: Key, place: int) -> str:
    """That the best configuration is at the end of what was tried of a number, and what to try."""
    if not key.numeric or key.binned or len(key.values) < 3:
        return ""
    at, last = int(key.codes[place]), len(key.values) - 1
    if at not in (0, last):
        return ""
    end, inner = key.values[at], key.values[1 if at == 0 else last - 1]
    rule = rule_of(key.name)
    further = end * end / inner if key.logarithmic and inner > 0 else 2 * end - inner
    if not _allowed(further, rule) or further == end:
        return ""
    words = "lowest" if at == 0 else "highest"
    return f"The best is at the {words} {key.name} tried: try {number(further, 2)} too."


def _allowed(value: float, rule: Mapping[str, Any]) -> bool:
    low, above, high, below = (rule.get(end) for end in ("low", "above", "high", "below"))
    return not (
        (low is not None and value < low) or (above is not None and value <= above)
        or (high is not None and value > high) or (below is not None and value >= below)
    )  # fmt: skip
