"""The tables of a report as plain rows: leaderboard, verdicts, warnings, runs that went wrong."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.analysis import choices, findings
from harness.analysis.effects import Swept, config_of
from harness.analysis.table import plain_rows
from harness.components.metrics import NATS, metric_of, shown_in
from harness.components.sources import SOURCES
from harness.config.automatic import follows, spelled
from harness.config.keys import rule_of
from harness.config.labels import text
from harness.config.run import RunConfig
from harness.errors import HarnessError
from harness.numerics.digits import number
from harness.numerics.folding import PLUS_MINUS, estimate
from harness.records.ranking import fingerprint
from harness.records.saved import overrides_of
from harness.render.equal import EQUAL, EQUALS, equal_rows, joined
from harness.theory.advice import GOOD, WRONG, StartKind
from harness.tracking.addresses import redacted

ROWS = 20  # configurations on the leaderboard, and in the lists of diverged and failed ones
DRAWN = ("words", "source_seed")  # settings shown only where a source reads them
MEANINGS: dict[StartKind, str] = {
    "not what the config says": "measured and expected differ by more standard deviations than a "
    "draw does: a wrong fan-in, a doubled bias, a layer that is not scaled",
    "a dead start": "weights at 0 that never get a gradient, so only the output bias learns",
    "confident and wrong": f"the first loss is more than {WRONG:g} times that of equal logits; the "
    "first steps only unlearn it",
    "somewhat confident": f"the first loss is {GOOD:g} to {WRONG:g} times that of equal logits",
}


def leaders(swept: Swept) -> list[dict[str, Any]]:
    """The best configurations, seeds folded, each with the commands that train it again.

    Those that are equal to the last digit share a row.
    """
    every = plain_rows(swept.runs)
    found, beside = swept.ranking.standings if swept.metric else (), columns(swept)
    groups = equal_rows([fingerprint([every[i] for i in one.places]) for one in found])
    out = []
    for place, group in enumerate(groups[:ROWS], 1):
        first = found[group[0]]
        part = [every[i] for i in first.places]
        told = [
            findings.settings_words(swept, found[i].places[0], short=True) or "`defaults`"
            for i in group
        ]
        counted = Counter(row["verdict"] for row in part)
        value = first.value
        one: dict[str, Any] = {
            "place": place, "settings": joined(told),
            "mean": "-" if value.mean is None else f"{value.mean:.4f}",
            "spread": f"± {value.half:.4f}" if value.half is not None else "",
            "n": len(part),
            "verdict": ", ".join(
                v if n == len(part) else f"{n} {v}" for v, n in counted.most_common()
            ),
        }  # fmt: skip
        for name in beside:
            mean = estimate(swept.values(name)[list(first.places)]).mean
            digits = 4 if metric_of(name).unit == NATS else 3
            one[name] = "-" if mean is None else number(mean, digits)
        best = next((row for row in part if row["run_id"] == first.best_run), part[0])
        one |= {"run": best["run_id"], "train": _train_command(best)}
        out.append(one)
    return out


def columns(swept: Swept) -> list[str]:
    """The metrics on the leaderboard beside the yardstick: of those that some run has."""
    known = [name for name in swept.table.metrics if len(swept.known(name))]
    return [name for name in shown_in("report", known) if name != swept.metric]


def caption(swept: Swept, leaders: Sequence[Mapping[str, Any]]) -> str:
    """By what the leaderboard is in this order, and what its numbers are."""
    found = swept.ranking
    words = f"Best first, of {len(found.standings):,} configurations, by {found.yardstick}"
    words += f"; {swept.unit}"
    words += f"; mean over seeds {PLUS_MINUS}" if swept.replicates > 1 else ""
    words += f"; the first {ROWS} are shown" if len(leaders) == ROWS < len(found.standings) else ""
    return words + "." + (f" {EQUAL}" if any(EQUALS in row["settings"] for row in leaders) else "")


def _train_command(row: Mapping[str, Any]) -> str:
    """`harness train ...` with every setting of the run that is not a default."""
    try:
        words = overrides_of(config_of(row))
    except HarnessError:
        return ""
    words = [word for word in words if rule_of(word.partition("=")[0])["numeric"]]
    return " ".join(["harness train", *map(shlex.quote, map(without_folder, words))])


def without_folder(override: str) -> str:
    """An override as it may leave this machine: of data.path the file's name alone."""
    key, _, value = override.partition("=")
    if key != "data.path":
        return override
    return f"{key}={Path(value.strip(chr(34) + chr(39))).name}"


def verdicts(swept: Swept) -> dict[str, Any]:
    """Verdict counts over all runs, and by the settings that move them most."""
    counts = findings.verdict_counts(swept)
    keys = [
        swept.keys[n] for n in ("loss.name", "reg.strength", "init.weight_scale") if n in swept.keys
    ]
    keys += [swept.keys[n] for n in swept.influence if swept.keys[n] not in keys]
    verdict = swept.runs["verdict"].to_numpy()
    rows = [("all runs", list(counts.values()))]
    for key in keys[:3]:
        for i, label in enumerate(key.labels):
            inside = verdict[key.codes == i]
            rows.append((f"{key.short}={label}", [int((inside == v).sum()) for v in counts]))
    shown = [i for i, n in enumerate(counts.values()) if n]
    names = [v for v, n in counts.items() if n]
    return {
        "names": names,
        "rows": [(label, [ns[i] for i in shown], max(sum(ns), 1)) for label, ns in rows],
    }


def diverged(swept: Swept) -> list[dict[str, str]]:
    """Configurations of which a run diverged, and how far the runs came."""
    bad = swept.runs[swept.runs["verdict"] == "diverged"]
    if not len(bad):
        return []
    curves = swept.table.curves
    last = (
        curves[curves["run_id"].isin(set(bad["run_id"]))]
        .groupby("run_id", observed=True)["step"]
        .max()
    )
    of = swept.runs["config"].value_counts()
    out = []
    for config, part in bad.groupby("config", sort=False):
        steps = sorted({int(last[r]) for r in part["run_id"] if r in last.index})
        seen = (
            f"{steps[0]:,} to {steps[-1]:,}" if len(steps) > 1 else f"{steps[0]:,}" if steps else ""
        )
        out.append({
            "run": str(part["run_id"].iloc[0]), "count": f"{len(part)} of {of[config]}",
            "settings": findings.settings_words(swept, int(part.index[0])),
            "what": f"last finite at step {seen}" if seen else "no finite evaluation",
        })  # fmt: skip
    return out


def confirmations(swept: Swept) -> list[dict[str, str]]:
    """Configurations that another sweep chose, on fresh seeds: what they reach there."""
    place = {run_id: i for i, run_id in enumerate(swept.runs["run_id"])}
    return [
        {
            "rank": str(one.rank),
            "settings": findings.settings_words(swept, place[one.run_id], short=True)
            or "`defaults`",
            "chosen": f"{one.chosen:.4f}", "fresh": one.fresh.words(), "n": str(one.fresh.n),
            "optimism": "-" if one.optimism is None else f"{one.optimism:+.4f}",
            "test": one.test.words(),
        }
        for one in choices.confirmations(swept.table)
        if one.run_id in place
    ]  # fmt: skip


def failed(swept: Swept) -> list[dict[str, str]]:
    """Runs that ended otherwise than finished, each with the last line of its error."""
    out = []
    for _, row in swept.failed.iterrows():
        words = [f"`{n}={text(row[n])}`" for n in swept.table.varying]
        error = str(row.get("error") or row["status"]).strip().splitlines()
        out.append(
            {
                "run": str(row["run_id"]),
                "count": "1",
                "settings": " ".join(words),
                "what": error[-1] if error else "",
            }
        )
    return out


def data(swept: Swept) -> list[tuple[str, str]]:
    """What the runs were trained on, by name; of a path the file's name alone."""
    known = {**(swept.meta.get("data") or {})}
    if known.get("path"):
        known["path"] = Path(str(known["path"])).name
    out = [(k, text(v)) for k, v in known.items() if v is not None]
    names = set(swept.runs["data.name"]) if "data.name" in swept.runs else set()
    read = {key for name in names if name in SOURCES for key in SOURCES.get(name).reads}
    known |= dict.fromkeys(key for key in DRAWN if key not in read)
    for name in sorted(c for c in swept.runs if str(c).startswith("data.")):
        short = str(name)[5:]
        values = {text(v) for v in swept.runs[name]}
        if short not in known and len(values) == 1 and (one := values.pop()) != "null":
            out.append((short, one))
    return out


def machine(meta: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where the runs were trained and read from."""
    known = dict(meta.get("environment") or {})
    source = str(meta.get("source") or "-")
    source = "MLflow on SQLite" if source.startswith("sqlite:") else redacted(source)
    out = [
        ("sweep", str(meta.get("sweep_id") or "-")),
        ("read from", source),
    ]
    return out + [
        (str(k), str(v)) for k, v in known.items() if k != "data_sha256" and v is not None
    ]


def shared(swept: Swept) -> list[tuple[str, str]]:
    """Settings that all runs share and that are not their defaults."""
    [default] = spelled([RunConfig().flat()])
    out = []
    for name in swept.table.settings:
        if follows(swept.table.following, name):
            continue  # another setting says it
        if name == "data.path":
            continue  # stands under Data, without its folder
        values = {text(v) for v in swept.table.runs[name]}
        if (
            len(values) == 1
            and rule_of(name)["numeric"]
            and (one := values.pop()) != text(default.get(name))
        ):
            out.append((name, one))
    return out


def start_warnings(swept: Swept) -> list[dict[str, str]]:
    """Kinds of doubtful starts: what it means, how many runs, and what to do about the worst."""
    ratio, z = findings.start_ratio(swept), swept.known("init/loss_z").abs()
    out = []
    for kind, meaning in MEANINGS.items():
        at = findings.of_kind(swept, kind)
        values = (z if kind == "not what the config says" else ratio).reindex(at)
        if len(values):
            worst = int(values.fillna(0.0).idxmax())
            out.append({
                "name": kind[0].upper() + kind[1:], "meaning": meaning,
                "count": f"{len(values)} of {len(swept.runs)} runs",
                "where": findings.common(swept, values.index),
                "worst": findings.settings_words(swept, worst), "advice": _advice(swept, worst),
            })  # fmt: skip
    return out


def _advice(swept: Swept, at: int) -> str:
    from harness.data.dataset import load_data
    from harness.theory.initial_loss import expected_initial_loss

    try:
        run = config_of(swept.runs.iloc[at].to_dict())
        return expected_initial_loss(run, load_data(run.data)).advice
    except (HarnessError, OSError):
        return ""
