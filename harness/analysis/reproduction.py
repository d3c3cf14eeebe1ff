"""Training a finished run again, alone, and comparing every number with what was written down."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.analysis.claims import Claim
from harness.components.metrics import metric_of
from harness.config.ids import NUMERICS
from harness.errors import ConfigError
from harness.records.durable import digest
from harness.records.record import environment, weights_bytes
from harness.system import KEYS

if TYPE_CHECKING:
    import torch

    from harness.records.record import RunRecord

TOLERANCE = {"float32": 1e-2, "float64": 1e-6}  # there, relative to max(1, |value|): see the docs


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The first place where the two disagree; None for what one of them does not have."""

    what: str
    was: Any
    now: Any
    step: int | None = None

    def to_plain(self) -> dict[str, Any]:
        """JSON values; a number that is none, such as a diverged run's weight, as its name."""
        plain = dataclasses.asdict(self)
        odd = {k: v for k, v in plain.items() if isinstance(v, float) and not math.isfinite(v)}
        return plain | {key: str(value) for key, value in odd.items()}

    def __str__(self) -> str:
        at = "" if self.step is None else f" at step {self.step}"
        return f"{self.what}{at}: was {self.was!r}, is {self.now!r}"


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """Result of a reproduction.

    compared: how many numbers; worst: largest loss difference, relative.

    same_platform: all of machine.KEYS agree, so that every bit must; remarks: what differs in
    code or platform, in words. whole: every number that was written down was there to compare.
    """

    run_id: str
    source: str
    bitwise: bool
    compared: int
    first_difference: Difference | None
    same_platform: bool
    worst: float
    tolerance: float
    parts: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Bitwise equal, or on another platform: every loss within the tolerance."""
        return self.bitwise or (not self.same_platform and self.worst <= self.tolerance)

    def to_plain(self) -> dict[str, Any]:
        """What `harness reproduce --json` prints."""
        first = self.first_difference
        return {
            "run": self.run_id,
            "bitwise": self.bitwise,
            "compared": self.compared,
            "first_difference": None if first is None else first.to_plain(),
        }

    def lines(self) -> list[str]:
        """The same for people."""
        out = [f"run {self.run_id}, as {self.source} has it", *self.remarks]
        out += [f"compared {self.compared:,} numbers: {', '.join(self.parts)}"]
        if self.first_difference is not None:
            out.append(f"first difference: {self.first_difference}")
        if self.bitwise:
            out.append("bitwise equal: every number and every weight.")
        elif self.same_platform:
            out.append("NOT reproduced: on the same platform every bit should agree.")
        else:
            word = "within" if self.good else "NOT within"
            out.append(
                f"another platform: losses agree to {self.worst:.2g}, {word} the tolerance of "
                f"{self.tolerance:g} (relative to the larger of 1 and the loss)."
            )
        return out


def reproduce(claim: Claim, *, progress: Callable[[int, int], None] | None = None) -> Reproduction:
    """Train the run of a claim again and compare; nothing is written.

    ConfigError where the comparison would be of two different things: the data have changed, or
    this version takes the same settings for another run.
    """
    from harness.data.dataset import load_data
    from harness.engine.device import device_of
    from harness.engine.kernel import bits_of
    from harness.engine.train import train

    config = claim.config
    if config.engine.device == "cuda" and not _card():  # another platform, said so below
        config = dataclasses.replace(
            config, engine=dataclasses.replace(config.engine, device="auto")
        )
    known, data = claim.provenance, load_data(config.data)
    kernel = "auto" if str(known.get("kernel", "torch")).startswith("native") else "torch"
    config = dataclasses.replace(config, engine=dataclasses.replace(config.engine, kernel=kernel))
    _check_data(claim, data.sha256)
    remarks = _code_remarks(known)
    device = str(known.get("device") or device_of(config))
    if known.get("numerics", NUMERICS) == NUMERICS:
        now = claim.config.run_id(data.sha256, device)
        if now != claim.run_id:
            raise ConfigError(
                f"run {claim.run_id} is not what its settings mean to this version, which would "
                f"call it {now}: the settings were edited, or an automatic value (null) has come "
                f"to mean something else since harness {known.get('version', '(unknown)')}."
            )
    record = train([config], data=data, progress=progress)[0]
    here = bits_of(config)
    apart = {k: known[k] for k in KEYS if k in known and str(known[k]) != here[k]}
    remarks += [f"{key}: {was} then, {here[key]} here" for key, was in apart.items()]
    if not apart:
        remarks.append("platform: the same (" + ", ".join(here.values()) + ")")
    found, parts = _compare(claim, record)
    first = next((one for one, _ in found if one is not None), None)
    return Reproduction(
        run_id=claim.run_id, source=claim.source, bitwise=first is None,
        compared=sum(count for _, count in found), first_difference=first,
        same_platform=not apart, worst=_worst(claim, record),
        tolerance=TOLERANCE[claim.config.engine.dtype], parts=tuple(parts), remarks=tuple(remarks),
    )  # fmt: skip


def _card() -> bool:
    import torch

    return torch.cuda.is_available()


def _check_data(claim: Claim, sha256: str) -> None:
    was = claim.provenance.get("data_sha256")
    if was and was != sha256:
        name = claim.config.data.path or claim.config.data.name
        raise ConfigError(
            f"the data of run {claim.run_id} have changed: the checksum of {name} is "
            f"{sha256[:16]}... and was {str(was)[:16]}...; bring the old file "
            "back to reproduce the run."
        )


def _code_remarks(known: Mapping[str, Any]) -> list[str]:
    here, out = environment(), []
    numerics = known.get("numerics")
    if numerics is not None and numerics != NUMERICS:
        out.append(
            f"numerics: {numerics} then, {NUMERICS} here: the arithmetic was changed on purpose in "
            "between, so numbers may differ"
        )
    if str(known.get("version", here["version"])) != here["version"]:
        out.append(f"harness: {known['version']} then, {here['version']} here")
    commit = known.get("git_commit", known.get("mlflow.source.git.commit"))
    if commit and commit != here.get("git_commit"):
        out.append(f"commit: {commit[:12]} then, {str(here.get('git_commit'))[:12]} here")
    if known.get("git_dirty"):
        out.append("code: it had uncommitted changes then")
    if here.get("git_dirty"):
        out.append("code: it has uncommitted changes here")
    return out or ["code: the same version and commit"]


Found = list[tuple[Difference | None, int]]  # the first difference of a part, and its size


def _compare(claim: Claim, record: RunRecord) -> tuple[Found, list[str]]:
    """Curves first, the earliest step first; then final numbers, verdict, weights."""
    curves = list(_curves(claim, record))
    apart = [one for one, _ in curves if one is not None]
    first = min(apart, key=lambda one: -1 if one.step is None else one.step, default=None)
    found: Found = [(first, 0), *((None, count) for _, count in curves)]
    points = sum(count for _, count in curves)
    parts = [f"{len(claim.series)} curves ({points:,} points)"]
    numbers = [_number(name, claim, record) for name in _finals(claim, record)]
    found += [(one, 1) for one in numbers]
    if numbers:
        parts.append(f"{len(numbers)} final numbers")
    if claim.verdict is not None and claim.verdict != record.verdict:
        found.append((Difference(what="verdict", was=claim.verdict, now=record.verdict), 0))
    if claim.weights:
        found += list(_weights(claim, record))
        parts.append(f"{sum(t.numel() for t in claim.weights.values()):,} weights")
    elif claim.weights_sha256:
        now = digest(weights_bytes(record.weights))
        same = now == claim.weights_sha256
        apart_ = Difference(what="checksum of the weights", was=claim.weights_sha256, now=now)
        size = sum(t.numel() for t in record.weights.values())
        found.append((None if same else apart_, size))
        parts.append(f"{size:,} weights (by their checksum)")
    else:
        parts.append("no weights (they were not kept)")
    return found, parts


def _curves(claim: Claim, record: RunRecord) -> Found:
    out: Found = []
    none = (np.empty(0, np.int64), np.empty(0))
    names = [*claim.series, *(n for n in record.series if claim.whole and n not in claim.series)]
    for name in names:
        was, now = claim.series.get(name, none), record.series.get(name, none)
        before = dict(zip(was[0].tolist(), was[1].tolist(), strict=True))
        after = dict(zip(now[0].tolist(), now[1].tolist(), strict=True))
        steps = sorted({*before, *after}) if claim.whole else sorted(before)
        differ = (s for s in steps if not _same(before.get(s), after.get(s)))
        step = next(differ, None)
        found = None
        if step is not None:
            found = Difference(what=name, step=step, was=before.get(step), now=after.get(step))
        out.append((found, len(before)))
    return out


def _finals(claim: Claim, record: RunRecord) -> Iterator[str]:
    """Final numbers but timings; those the record alone has count where the claim is a record."""
    both = {**claim.summary, **(record.summary if "nll/val" in claim.summary else {})}
    return (name for name in both if not metric_of(name).timing)


def _number(name: str, claim: Claim, record: RunRecord) -> Difference | None:
    was, now = claim.summary.get(name), record.summary.get(name)
    return None if _same(was, now) else Difference(what=name, was=was, now=now)


def _weights(claim: Claim, record: RunRecord) -> Found:
    out: Found = []
    for name in sorted({*claim.weights, *record.weights}):
        was, now = claim.weights.get(name), record.weights.get(name)
        found = None
        if was is None or now is None or was.shape != now.shape or was.dtype != now.dtype:
            found = Difference(what=name, was=_form(was), now=_form(now))
        elif len(place := _unequal(was, now)):
            at = int(place[0])
            pair = float(was.flatten()[at]), float(now.flatten()[at])
            found = Difference(what=f"{name}[{at}]", was=pair[0], now=pair[1])
        out.append((found, 0 if was is None else was.numel()))
    return out


def _unequal(was: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
    """Places (flat) where bits differ; nan, as a diverged run's weights are, equals nan."""
    import torch

    bits = torch.int64 if was.element_size() == 8 else torch.int32
    same = was.contiguous().view(bits) == now.contiguous().view(bits)
    return (~(same | (was.isnan() & now.isnan()))).flatten().nonzero().flatten()


def _form(tensor: Any) -> str | None:
    return None if tensor is None else f"{tensor.dtype} {list(tensor.shape)}"


def _same(a: float | None, b: float | None) -> bool:
    return a is not None and b is not None and np.float64(a).tobytes() == np.float64(b).tobytes()


def _worst(claim: Claim, record: RunRecord) -> float:
    """The largest difference of a loss, relative to max(1, |loss|); inf where one is missing."""
    pairs = [
        (float(value), dict(zip(*map(np.ndarray.tolist, record.series[name]), strict=True)).get(s))
        if name in record.series else (float(value), None)
        for name, (steps, values) in claim.series.items() if metric_of(name).agrees
        for s, value in zip(steps.tolist(), values.tolist(), strict=True)
    ]  # fmt: skip
    pairs += [
        (value, record.summary.get(name))
        for name, value in claim.summary.items()
        if metric_of(name).agrees
    ]
    far = [math.inf if b is None else abs(a - b) / max(1.0, abs(a)) for a, b in pairs]
    return max(far, default=math.inf)
