"""What a sweep says, in sentences computed from its table; `code` and **strong** as in Markdown.

Every number in a sentence is a mean over the runs it names. Differences are taken between runs
that agree in everything else (seed and batches too), with a 95 % interval of Student's t.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from harness.analysis.effects import Swept
from harness.analysis.levels import Key
from harness.analysis.remarks import about_progress
from harness.analysis.table import plain_rows
from harness.components.metrics import OWN, metric_of
from harness.config.labels import text
from harness.numerics.digits import number
from harness.numerics.folding import estimate, mean_by_unit, pairs
from harness.records.ranking import Standing, fingerprint
from harness.records.verdicts import VERDICTS
from harness.theory.advice import GOOD, Z_LIMIT, StartKind, start_kind


def headline(swept: Swept, floors: Mapping[str, float]) -> list[str]:
    """The findings in order of interest; at least one sentence for any table."""
    if not len(swept.runs):
        ended = f"; {len(swept.failed)} failed or were stopped" if len(swept.failed) else ""
        return [f"No run of this sweep has finished{ended}."]
    parts = [
        *about_progress(swept.table), *best(swept, floors), *start(swept), *overfitting(swept),
        *strength(swept), *influence(swept), *diverged(swept),
    ]  # fmt: skip
    return parts or ["The runs carry no metric that this report knows."]


def size(swept: Swept) -> str:
    """How many runs, configurations and seeds there are, and what failed."""
    n, configs = len(swept.runs), swept.runs["config"].nunique()
    left, ended = swept.table.unfinished, len(swept.table.runs)
    words = f"{n:,} of {_count(ended + left, 'run')} so far" if left else _count(n, "run")
    if configs < n:
        even = n == configs * swept.replicates
        words += f": {_count(configs, 'configuration')} × " + (
            f"{swept.replicates} seeds" if even else f"up to {swept.replicates} seeds"
        )
    if len(swept.failed):
        words += f"; {len(swept.failed)} more failed or were stopped"
    return words


def best(swept: Swept, floors: Mapping[str, float]) -> list[str]:
    """The best configuration, how far ahead it is, and what counting alone attains.

    Of each loss its own where the yardstick cannot compare losses.
    """
    found, out = swept.ranking, []
    for top in found.bests if swept.metric else ():
        chosen = settings_words(swept, top.places[0])
        same = [other for other in found.standings if _equal(swept, top, other)]
        words = f"{_words(swept, top)}{f' with {chosen}' if chosen else ''}"
        if same:
            twin = settings_words(swept, same[0].places[0], unlike=top.places[0])
            words += f"; equal to the last digit: {twin}"
            words += f" and {len(same) - 1} more" if len(same) > 1 else ""
        out.append(words + ".")
        out += _against_counting(swept, top, floors)
        rival = next(
            (
                other for other in found.standings
                if other.best_run and other not in (top, *same)
                and (other.loss == top.loss or not found.yardstick.apart)
            ),
            None,
        )  # fmt: skip
        if rival is not None and not rival.lost:
            out.append(_lead(swept, top, rival))
    return out


def _words(swept: Swept, top: Standing) -> str:
    value, own = top.value, metric_of(str(swept.metric)).unit == OWN
    unit = "in its own units" if own else swept.unit
    assert value.mean is not None
    number_ = f"**{value.mean:.4f}** {unit} (one run)"
    if value.half is not None:
        number_ = f"**{value.mean:.4f} ± {value.half:.4f}** {unit} (mean of {value.n} seeds)"
    among = swept.ranking.among(top)
    return f"{among[0].upper()}{among[1:]} by `{swept.metric}`: {number_}"


def _equal(swept: Swept, one: Standing, other: Standing) -> bool:
    if one.value != other.value:  # cheap to see, and settles nearly every pair
        return False
    rows = [
        plain_rows(swept.runs.iloc[list(s.places)], ["run_id", "verdict", *swept.table.metrics])
        for s in (one, other)
    ]
    return one is not other and fingerprint(rows[0]) == fingerprint(rows[1])


def _against_counting(swept: Swept, top: Standing, floors: Mapping[str, float]) -> list[str]:
    counted = {words: low for name, low in floors.items() if (words := metric_of(name).counts)}
    if not counted or "nll" not in str(swept.metric) or top.value.mean is None:
        return []
    what = min(counted, key=counted.__getitem__)
    ahead = counted[what] - top.value.mean
    words = (
        f"That is {abs(ahead):.3f} {'below' if ahead > 0 else 'above'} what counting {what} "
        f"attains on validation ({counted[what]:.3f}), the best that counting does there."
    )
    return [words]


def _lead(swept: Swept, top: Standing, rival: Standing) -> str:
    """How the runner-up compares, paired by seed where both have the same seeds."""
    name = settings_words(swept, rival.places[0], unlike=top.places[0])
    assert rival.value.mean is not None and top.value.mean is not None
    words = f"The runner-up ({name}) is {rival.value.mean - top.value.mean:.4f} behind"
    values = swept.values(str(swept.metric))
    met = pairs(top.places, rival.places, swept.seeds)
    found = estimate([values[j] - values[i] for i, j in met]).interval
    if found is None:
        return words + "; with one seed each, nobody can say whether that is chance."
    low, high = found
    verdict = "more than seeds explain" if low > 0 or high < 0 else "within the noise of seeds"
    return f"{words}: {verdict} (95 % interval of the paired difference {low:.4f} to {high:.4f})."


def start(swept: Swept) -> list[str]:
    """Whether the first loss is what the settings promise, and where the start is bad."""
    out = []
    z = swept.known("init/loss_z")
    if len(z):
        inside = len(z) - len(of_kind(swept, "not what the config says"))
        every = "All" if inside == len(z) else f"{inside} of"
        out.append(
            f"{every} {_count(len(z), 'initial loss', 'initial losses')} "
            f"{'is' if len(z) == 1 else 'are'} what the settings promise "
            f"({Z_LIMIT:g} standard deviations away at most, more in narrow and deep nets)."
        )
    ratio = start_ratio(swept)
    wrong = ratio[ratio.index.intersection(of_kind(swept, "confident and wrong"))]
    if len(wrong):
        shared = common(swept, wrong.index)
        out.append(
            f"{_count(len(wrong), 'run')} of {len(ratio)} start confident and wrong, at "
            f"{_range(wrong.min(), wrong.max())} times the loss of equal logits{_all_with(shared)}."
        )
    elif len(ratio) and ratio.max() <= GOOD:
        out.append(
            f"Every start is good: at most {ratio.max():.2f} times the loss of equal logits."
        )
    key = _start_key(swept, ratio)
    if key is not None and swept.metric:
        told = swept.best_of(key.name)
        if len(told) > 1:
            values = ", ".join(f"{label}: {value:.3f}" for label, value in told.items())
            spread = max(told.values()) - min(told.values())
            out.append(
                f"The best configuration at each `{key.name}` reaches {values} (`{swept.metric}`): "
                f"the start's scale moves the end by {spread:.3f} at most."
            )
    return out


def of_kind(swept: Swept, kind: StartKind) -> Any:
    """Places of the runs whose start was of this kind; by their numbers where none was stored."""
    columns = ("init/loss_measured", "init/loss_uniform", "init/loss_z")
    rows = plain_rows(swept.runs, [*columns, "start"])
    found = []
    for place, row in enumerate(rows):
        measured, uniform, z = (row.get(name, math.nan) for name in columns)
        known = row.get("start")
        if known is None and uniform == uniform and measured == measured:
            known = start_kind(measured, uniform, 0.0 if z != z else z)
        found += [place] * (known == kind)
    return pd.Index(found, dtype=int)


def start_ratio(swept: Swept) -> Any:
    """Measured initial loss over the loss of equal logits, of the runs that have both."""
    measured, uniform = swept.known("init/loss_measured"), swept.known("init/loss_uniform")
    ratio = measured / uniform[uniform > 0]
    return ratio.dropna()


def _start_key(swept: Swept, ratio: Any) -> Key | None:
    if not len(ratio):
        return None
    scales = [
        k for k in swept.keys.values() if k.name in ("init.weight_scale", "init.output_scale")
    ]
    return next((k for k in scales if not k.binned), None)


def overfitting(swept: Swept) -> list[str]:
    """Verdicts counted, and the widest gap."""
    counts = verdict_counts(swept)
    told = ", ".join(f"{n} {verdict}" for verdict, n in counts.items() if n)
    out = [f"Verdicts: {told}."] if told else []
    gap = swept.known("gap/nll")
    if len(gap):
        at = int(gap.idxmax())
        where = settings_words(swept, at)
        out.append(
            f"The gap between validation and training ends at {number(float(gap.median()))} "
            f"{swept.unit} (median); the widest, {number(float(gap.max()))}"
            + (f", belongs to {where}." if where else ".")
        )
    return out


def verdict_counts(swept: Swept) -> dict[str, int]:
    """Runs by verdict, in the order of VERDICTS."""
    found = swept.runs["verdict"].value_counts()
    return {v: int(found.get(v, 0)) for v in VERDICTS}


def strength(swept: Swept) -> list[str]:
    """What the strongest helpful regularization does against the weakest, all else equal."""
    key = swept.keys.get("reg.strength")
    if key is None or key.binned or swept.metric is None:
        return []
    rows = []
    for level in range(1, len(key.labels)):
        change = swept.matched(key.name, 0, level, swept.metric)
        if len(change):
            rows.append((float(change["change"].mean()), level, change))
    if not rows:
        return []
    mean, level, met = min(rows, key=lambda row: row[0])
    # runs of one seed share weights and batches: the seed is the unit, as in `compare`
    ends = estimate(mean_by_unit(met[["change"]].to_numpy(), met["seed"].tolist())).interval
    cells = met.groupby("rest")["change"].mean()
    gap = swept.matched(key.name, 0, level, "gap/nll")["change"]
    words = (
        f"Against `{key.name}={key.labels[0]}`, `{key.labels[level]}` changes `{swept.metric}` by "
        f"**{mean:+.3f}** on average over {_count(len(met), 'pair')} of runs alike in all else"
    )
    if ends is not None:
        sure = ", which may be chance" if ends[0] <= 0 <= ends[1] else ""
        words += f" (95 % interval over seeds {ends[0]:+.3f} to {ends[1]:+.3f}{sure})"
    if len(cells) > 1:
        words += (
            f", by {cells.min():+.3f} to {cells.max():+.3f} from one choice of the rest to another"
        )
    if len(gap):
        words += f" and the final gap by {gap.mean():+.3f}"
    return [words + "."]


def influence(swept: Swept) -> list[str]:
    """Which settings matter most."""
    shares = [(name, share) for name, share in swept.influence.items() if share >= 0.005][:4]
    if not shares:
        return []
    told = ", ".join(f"`{name}` {share:.0%}" for name, share in shares)
    words = "between runs that each setting explains alone"
    return [f"Share of the variance of `{swept.metric}` {words}: {told}."]


def diverged(swept: Swept) -> list[str]:
    """How many runs diverged, and what they share."""
    bad = swept.runs.index[swept.runs["verdict"] == "diverged"]
    if not len(bad):
        return []
    every = "All" if len(bad) == len(swept.runs) else f"{len(bad)} of"
    return [f"{every} {_count(len(swept.runs), 'run')} diverged{_all_with(common(swept, bad))}."]


def common(swept: Swept, at: Any) -> str:
    """The level that all these runs share of a setting that others differ in; "" where none."""
    places = np.asarray(at, int)
    if len(places) == len(swept.runs):
        return ""
    found = []
    for key in swept.keys.values():
        levels = set(key.codes[places].tolist())
        if len(levels) == 1 and len(places) > 1:
            found.append(f"`{key.name}={key.labels[levels.pop()]}`")
    return " and ".join(found[:3])


def settings_words(swept: Swept, at: int, *, unlike: int | None = None, short: bool = False) -> str:
    """One run's varying settings, as `key=value` words; those that differ from another run's.

    short: keys by their last part, where no other varying key ends alike.
    """
    mine = swept.settings_of(at)
    if unlike is not None:
        other = swept.settings_of(unlike)
        mine = {k: v for k, v in mine.items() if repr(other[k]) != repr(v)}
    last = [key.short for key in swept.keys.values()]

    def label(name: str) -> str:
        brief = swept.keys[name].short
        return brief if short and last.count(brief) == 1 else name

    shown = [f"`{label(name)}={text(value)}`" for name, value in mine.items()]
    if len(shown) > 8:
        shown = [*shown[:8], f"{len(shown) - 8} more settings"]
    return " ".join(shown)


def _all_with(shared: str) -> str:
    return f", all with {shared}" if shared else ""


def _range(low: float, high: float) -> str:
    a, b = number(low, 2), number(high, 2)
    return a if a == b else f"{a} to {b}"


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"
