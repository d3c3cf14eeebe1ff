"""Words drawn from a trained run, and whether it has them from its training set; or running text.

Axes: n words, T context, V vocabulary.
"""

from __future__ import annotations

import copy
import dataclasses
import shutil
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.components.losses import LINKS
from harness.components.sources import SOURCES
from harness.engine.calibration import scores, told
from harness.errors import ConfigError, DataError, HarnessError
from harness.numerics.randomness import stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.records.modules import TrainedNet
    from harness.records.record import RunRecord

LENGTH = 50  # a word is cut here, or at twice the longest training word
ROWS = 1024  # words drawn side by side
WORDS, CHARACTERS = 20, 500  # drawn unless told
MEMORY = 4_000_000  # random numbers held at once
# where a word stands: mark, meaning; a word of several places has the first
PLACES = {
    "train": ("*", "in its training set: memorised"),
    "val": ("~", "in validation"),
    "test": ("~", "in test"),
    "unused": ("-", "in the words that data.fraction left out"),
    "new": ("", "new: nowhere in the data"),
}


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One drawn word. place: see PLACES; None where the data are not at hand any more."""

    word: str
    place: str | None
    cut: bool = False  # no end mark came within the longest length allowed


def draw(
    net: TrainedNet, n: int, *, temperature: float = 1.0, seed: int = 0, longest: int = LENGTH,
    link: str = "softmax",
) -> list[tuple[str, bool]]:  # fmt: skip
    """n words as (word, cut), each symbol drawn from softmax(g(logits) / temperature).

    g is the link (see calibration): nothing at all, unless another one is named.
    Word i depends on the seed and i alone: asking for more words keeps the first ones. Temperature
    0 takes the likeliest symbol each time (the first of equals), so all words are the same.
    """
    net = copy.deepcopy(net).double()  # rounding must not depend on how many words are drawn
    rows = max(1, min(ROWS, MEMORY // (longest + 1)))
    options = (temperature, seed, longest, link, False)
    parts = (range(start, min(start + rows, n)) for start in range(0, n, rows))
    return [pair for which in parts for pair in _draw(net, which, options)]


def draw_text(
    net: TrainedNet, n: int, *, temperature: float = 1.0, seed: int = 0, link: str = "softmax"
) -> str:
    """n characters of running text, from its beginning on; as `draw`, but nothing ends it."""
    net = copy.deepcopy(net).double()
    ((text, _),) = _draw(net, [0], (temperature, seed, n, link, True))
    return text


def _draw(
    net: TrainedNet, which: Sequence[int], options: tuple[float, int, int, str, bool]
) -> Iterator[tuple[str, bool]]:
    import torch

    temperature, seed, longest, link, endless = options
    u_nL = np.stack([stream(seed, f"sample/{i}").random(longest + 1) for i in which])
    codes_nL = np.zeros((len(which), longest + 1), dtype=np.int64)
    context_nT = torch.zeros(len(which), net.block_size, dtype=torch.int64)
    open_n = np.ones(len(which), dtype=bool)
    for place in range(longest + 1):
        with torch.no_grad():
            z_nV = net(context_nT).numpy()
        if not np.isfinite(z_nV).all():
            raise HarnessError("this run diverged: its weights are not finite, nothing to draw.")
        z_nV = scores(z_nV, link)
        if endless:
            z_nV[:, 0] = -np.inf  # the padding is no part of a text
        chosen_n = _choose(z_nV, temperature, u_nL[:, place])
        codes_nL[:, place] = np.where(open_n, chosen_n, 0)
        open_n &= codes_nL[:, place] != 0
        if not open_n.any():
            break
        newest_n1 = torch.from_numpy(codes_nL[:, place : place + 1])
        context_nT = torch.cat([context_nT[:, 1:], newest_n1], 1)
    for codes, unfinished in zip(codes_nL[:, :longest], open_n, strict=True):
        yield "".join(net.symbols[code] for code in codes if code), bool(unfinished)


def _choose(z_nV: np.ndarray[Any, Any], temperature: float, u_n: np.ndarray[Any, Any]) -> Any:
    """One code a row: the inverse of the cumulated distribution at u."""
    if temperature == 0:
        return z_nV.argmax(1)
    # the largest is taken away first, so that what overflows is minus infinity: no chance at all
    with np.errstate(over="ignore"):
        z_nV = (z_nV - z_nV.max(1, keepdims=True)) / temperature
    cumulated_nV = np.exp(z_nV).cumsum(1)
    return (cumulated_nV <= u_n[:, None] * cumulated_nV[:, -1:]).sum(1)


def sample(
    record: RunRecord, n: int | None = None, *, temperature: float = 1.0, seed: int = 0,
    calibrated: bool = False,
) -> tuple[list[Sample], dict[str, int] | None]:  # fmt: skip
    """(n words with their places, how many distinct words each place holds or None).

    Of a run on running text there is one sample, a text of n characters. n: 20 words, or 500
    characters, unless told.
    calibrated: by the link and temperature that were fitted to the run on validation words;
    `temperature` then multiplies the fitted one. ConfigError on a wrong number, for a run on
    points, which has no words, and for one without a calibration.
    """
    running = record.config.data.spec.running
    n = n if n is not None else CHARACTERS if running else WORDS
    if n < 1 or n > 1_000_000:
        raise ConfigError(f"-n is {n}; allowed: 1 to 1,000,000 words, or characters.")
    if not 0 <= temperature <= 1000:
        raise ConfigError(
            f"--temperature is {temperature}; allowed: 0 (always the likeliest symbol) to 1000; "
            "1 samples what the run learned."
        )
    if not 0 <= seed < 2**32:
        raise ConfigError(f"--seed is {seed}; allowed: a whole number from 0 to 4294967295.")
    net: Any = record.module()
    if not net.symbols:
        raise ConfigError(
            f"run {record.run_id} was trained on data={record.config.data.name}, points without "
            f"words; sample from a run on words ({', '.join(SOURCES.having(kind='classes'))})."
        )
    link, fitted = _reading(record) if calibrated else ("softmax", 1.0)
    if running:
        text = draw_text(net, n, temperature=temperature * fitted, seed=seed, link=link)
        return [Sample(word=text, place=None)], None
    places = _places(record)
    words = places["train"] if places else ()
    longest = max([LENGTH, *(2 * len(word) for word in words)])
    home: dict[str, str] = {}
    for name in reversed(places or {}):
        home |= dict.fromkeys((places or {})[name], name)
    drawn = draw(
        net, n, temperature=temperature * fitted, seed=seed, longest=longest, link=link
    )  # fmt: skip
    samples = [
        Sample(word=word, place=home.get(word, "new") if places else None, cut=cut)
        for word, cut in drawn
    ]
    return samples, {name: len(found) for name, found in places.items()} if places else None


def _reading(record: RunRecord) -> tuple[str, float]:
    """(link, temperature) fitted to a run's outputs."""
    known = record.summary
    if "calibration/link" not in known:
        raise ConfigError(
            f"run {record.run_id} has no calibration (diverged, or too few validation words); "
            "leave --calibrated out."
        )
    return LINKS[int(known["calibration/link"])], known["calibration/temperature"]


def _places(record: RunRecord) -> dict[str, frozenset[str]] | None:
    """Words by place, as this run saw them; None where its data are gone or have changed."""
    from harness.data.dataset import load_data

    try:
        data = load_data(record.config.data)
        whole = load_data(dataclasses.replace(record.config.data, fraction=1.0))
    except DataError:
        return None
    if data.sha256 != record.provenance.get("data_sha256", data.sha256):
        return None
    named = {name: frozenset(getattr(data, name).words) for name in ("train", "val", "test")}
    return named | {"unused": frozenset(whole.train.words) - named["train"]}


def as_plain(
    record: RunRecord, samples: Sequence[Sample], sizes: Mapping[str, int] | None,
    temperature: float, seed: int, calibrated: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """What --json prints: run, temperature, seed, words, how many of them stand where; or text."""
    if record.config.data.spec.running:
        return {
            "run": record.run_id, "temperature": temperature, "seed": seed,
            "calibration": told(record.summary) if calibrated else None, "text": samples[0].word,
        }  # fmt: skip
    counts = Counter(one.place for one in samples)
    return {
        "run": record.run_id,
        "temperature": temperature,
        "seed": seed,
        "calibration": told(record.summary) if calibrated else None,
        "words": [{"word": s.word, "place": s.place, "cut": s.cut} for s in samples],
        "counts": {name: counts[name] for name in PLACES} if sizes is not None else None,
        "distinct_words": dict(sizes) if sizes is not None else None,
    }


def lines(
    record: RunRecord, samples: Sequence[Sample], sizes: Mapping[str, int] | None,
    temperature: float, seed: int, calibrated: bool = False,
) -> list[str]:  # fmt: skip
    """The words in columns with their marks, then what the marks mean and how many there are."""
    width = shutil.get_terminal_size().columns
    running = record.config.data.spec.running
    many = "1 word" if len(samples) == 1 else f"{len(samples)} words"
    if running:
        many = f"{len(samples[0].word):,} characters"
    how = f"temperature {temperature:g}, seed {seed}"
    if calibrated:
        how += f"; read by {told(record.summary)}"
    out = [f"{many} from run {record.run_id}, {how}", ""]
    if running:
        return [*out, samples[0].word]
    out += _columns([_shown(one) for one in samples], min(width, 120))
    out.append("")
    if sizes is None:
        return [*out, "Its data are not at hand any more: known and new words are not told apart."]
    counts = Counter(one.place for one in samples)
    for name, (mark, meaning) in PLACES.items():
        if counts[name] or name in ("train", "new"):
            size = f" ({sizes[name]:,} words)" if name in sizes else ""
            out.append(f"{mark:>2} {counts[name]:>{len(str(len(samples)))}} {meaning}{size}")
    if any(one.cut for one in samples):
        out.append("... marks a word that had come to no end and was cut.")
    loss = record.config.loss
    if not loss.spec.log_probabilities and not calibrated:
        out.append(
            f"{loss.name} puts out no log-probabilities: --calibrated draws as it suits this run."
        )
    return out


def _shown(one: Sample) -> str:
    mark = PLACES[one.place][0] if one.place else ""
    return f"{one.word or '(empty)'}{'...' if one.cut else ''}{' ' + mark if mark else ''}"


def _columns(cells: Sequence[str], width: int) -> list[str]:
    """Cells in equal columns, row by row, two blanks in front; a long one takes several columns."""
    usual = sorted(map(len, cells))[int(0.9 * (len(cells) - 1))]
    wide = min(usual, width - 4) + 2
    rows, row = [], ""
    for cell in cells:
        taken = f"{cell:<{-(-(len(cell) + 2) // wide) * wide}}"
        if row and len(row) + len(taken.rstrip()) > width - 2:
            rows.append(row)
            row = ""
        row += taken
    return ["  " + text.rstrip() for text in [*rows, row]]
