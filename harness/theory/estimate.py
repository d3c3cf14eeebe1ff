"""`harness estimate`: what the first loss of a config must be, before anything is trained.

Needs numpy and scipy.special alone, so it answers at once; `describe` is the JSON form, `lines`
and `table_lines` what a person reads at 80 columns.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from harness.config.labels import loss_unit, nll_unit
from harness.config.run import RunConfig, varying
from harness.data.baselines import floors
from harness.data.dataset import Dataset, load_data
from harness.theory.initial_loss import InitialLoss, expected_initial_loss

WIDTH = 80
HEADS = f"{'uniform':>9} {'expected':>9} {'sd':>8} {'x uniform':>9} {'logit std':>9}"
NUMBERS = len(HEADS)


def describe(run: RunConfig, data: Dataset | None = None) -> dict[str, Any]:
    """Everything known of a config's start, as JSON values; what is not known is absent.

    loss: uniform (all logits equal), expected and sd over draws, in the loss's own units.
    logit_std: expected, and by layer the preactivation and activation spread. floors: nats per
    character of counting models and, where it is known exactly, of the source itself.
    """
    data = load_data(run.data) if data is None else data
    theory = expected_initial_loss(run, data)
    loss = {"uniform": theory.uniform, "expected": theory.expected, "sd": theory.sd}
    out: dict[str, Any] = {
        "loss": {name: value for name, value in loss.items() if value is not None},
        "logit_std": {
            **({"expected": theory.logit_std} if math.isfinite(theory.logit_std) else {}),
            "layers": [
                {"name": name, "preactivation": pre, "activation": post}
                for name, pre, post in theory.layers
            ],
        },
        "floors": {n.removeprefix("floor/"): v for n, v in floors(data).items()},
        "advice": theory.advice,
        "caveats": list(theory.caveats),
        "data": {"name": data.name, "symbols": data.V, "notes": list(data.notes)},
    }
    if theory.smart_start is not None:
        smart = theory.smart_start
        out["smart_start"] = {
            "loss": smart.loss, "bias": smart.bias, "reached": smart.reached,
            "overrides": list(smart.overrides),
        }  # fmt: skip
    return out


def lines(run: RunConfig, found: Mapping[str, Any]) -> list[str]:
    """The estimate of one config, for a terminal of 80 columns."""
    loss = found["loss"]
    unit = loss_unit(run.loss.name, run.data.name) or "in the loss's own units"
    symbols = f" ({found['data']['symbols']} symbols)" * (run.data.spec.kind == "classes")
    out = [f"{run.loss.name} on {found['data']['name']}{symbols}", ""]
    out.append(_line("all logits equal", loss.get("uniform"), unit))
    out.append(_line("expected at the start", loss.get("expected"), unit, loss.get("sd")))
    out.append(_line("logit standard deviation", found["logit_std"].get("expected"), ""))
    smart = found.get("smart_start")
    if smart:
        out.append(_line("best constant start", smart["loss"], f"bias {smart['bias']}"))
        if smart["overrides"]:
            out.append(_line("  in reach by", smart["reached"], ""))
            out += [f"    {override}" for override in smart["overrides"]]
    out += ["", "layer            before nonlinearity   after   (standard deviations)"]
    for row in found["logit_std"]["layers"]:
        out.append(f"{row['name']:16} {row['preactivation']:19.4g} {row['activation']:7.4g}")
    if found["floors"]:
        what = (
            f"floors, {nll_unit([run.data.name])} (training counts; _val: smoothed, on new words)"
        )
        out += ["", what]
        out += [f"  {name:20} {value:.4f}" for name, value in found["floors"].items()]
    out += ["", *_wrapped("advice: " + found["advice"])]
    for caveat in found["caveats"]:
        out += _wrapped("caveat: " + caveat)
    return out


def table_lines(runs: Sequence[RunConfig]) -> list[str]:
    """One line a config of a grid: what varies, uniform and expected loss, spread, logit spread."""
    keys = [key for key in varying(runs) if not key.endswith("seed")]
    rows, seen = [], set()
    for run in runs:
        flat = run.flat()
        values = tuple(str(flat.get(key, "-")) for key in keys)
        if values not in seen:
            seen.add(values)
            rows.append((values, expected_initial_loss(run, load_data(run.data))))
    heads = [key.rpartition(".")[2] if key != "loss.name" else "loss" for key in keys]
    widths = [
        max(len(head), *(len(values[i]) for values, _ in rows)) for i, head in enumerate(heads)
    ]
    if sum(widths) + 2 * len(widths) + NUMBERS > WIDTH:
        return _folded(heads, rows)
    named = "  ".join(f"{head:{width}}" for head, width in zip(heads, widths, strict=True))
    out = [f"{named}  {HEADS}"]
    for values, theory in rows:
        named = "  ".join(f"{value:{width}}" for value, width in zip(values, widths, strict=True))
        out.append(f"{named}  {_numbers(theory)}")
    return out


def _folded(heads: Sequence[str], rows: Sequence[tuple[tuple[str, ...], InitialLoss]]) -> list[str]:
    """The same with all settings in one column that wraps; too long a one has lines of its own."""
    room = WIDTH - NUMBERS - 2
    out = [f"{'settings':{room}}  {HEADS}"]
    for values, theory in rows:
        words = [
            f"{head}={value.replace(' ', '')}" for head, value in zip(heads, values, strict=True)
        ]
        wide = max(map(len, words)) > room
        first, *more = textwrap.wrap(
            " ".join(words), WIDTH if wide else room, break_long_words=False,
            break_on_hyphens=False,
        )  # fmt: skip
        if wide:
            out += [first, *more, f"{'':{room}}  {_numbers(theory)}"]
        else:
            out += [f"{first:{room}}  {_numbers(theory)}", *more]
    return out


def _numbers(theory: InitialLoss) -> str:
    ratio = None
    if theory.expected is not None and theory.uniform:
        ratio = theory.expected / theory.uniform
    cells = (
        (theory.uniform, 9), (theory.expected, 9), (theory.sd, 8), (ratio, 9),
        (theory.logit_std if math.isfinite(theory.logit_std) else None, 9),
    )  # fmt: skip
    texts = [("-", n) if v is None else (f"{v:.4g}", n) for v, n in cells]
    short = [text if len(text) <= n else f"{float(text):.2g}" for text, n in texts]
    return " ".join(f"{text:>{n}}" for text, (_, n) in zip(short, texts, strict=True))


def _line(name: str, value: float | None, unit: str, sd: float | None = None) -> str:
    if value is None:
        return f"{name:26}  not known"
    spread = "" if sd is None else f" +- {sd:.2g}"
    return f"{name:26} {value:9.4f}{spread}  {unit}".rstrip()


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 79, subsequent_indent="  ")
