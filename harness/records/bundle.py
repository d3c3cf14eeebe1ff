"""One file for the records of runs that ended together.

    line     b"harness-records 2 ", the index's length in 12 digits, a space, its sha256, a line end
    index    JSON: {"base": what the heads of all its runs share, "bytes": of all parts together,
             "runs": {run_id: {"generation": 0, "head": [at, bytes, sha256], "curves": [...],
             "weights": [...]}}}
    parts    of every run: the head (JSON: RunRecord.to_plain less the base), its curves and its
             weights (safetensors); `at` counts from the first part; null where weights were dropped
    index    once more, then the line once more

Any part can be read without the rest. Every byte is under a checksum, so a changed one is found
where it is read and names the run it belongs to; of the index there are two copies, so that a
damaged one loses no run. A bundle never changes: it is written whole under a name that follows from
its index, and replaced by another one.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.records.curves import pack_curves, unpack_curves
from harness.records.durable import DamagedError, LedgerError, digest
from harness.records.record import Curve, RunRecord, weights_bytes
from harness.records.sharing import merged, shared, without

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

SUFFIX = ".runs"
LINE = 96  # bytes of the first and the last line
LINES = re.compile(rb"harness-records (\d) (\d{12}) ([0-9a-f]{64})\n")
FORMAT = 2
HEAD, CURVES, WEIGHTS = "head", "curves", "weights"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One run as a bundle keeps it.

    plain: RunRecord.to_plain; curves: see pack_curves; weights: bytes of a safetensors file, None
    where they are not kept (or were not asked for); weights_sum: their length and sha256 even so.
    generation: of several entries of a run the highest one counts.
    """

    plain: Mapping[str, Any]
    curves: bytes = b""
    weights: bytes | None = None
    weights_sum: tuple[int, str] | None = None
    generation: int = 0

    @property
    def series(self) -> dict[str, Curve]:
        """The curves, by metric."""
        return unpack_curves(self.curves)


def entry_of(record: RunRecord, *, weights: bool = True, generation: int = 0) -> Entry:
    """A record as it is kept; without its weights, but for their checksum, on request."""
    content = weights_bytes(record.weights) if record.weights else None
    return Entry(
        plain=record.to_plain(),
        curves=pack_curves(record.series),
        weights=content if weights else None,
        weights_sum=None if content is None else (len(content), digest(content)),
        generation=generation,
    )


def pack(entries: Sequence[Entry]) -> tuple[str, list[bytes]]:
    """(name, content in pieces) of the bundle of these runs; equal entries give equal bytes."""
    entries = sorted(entries, key=lambda entry: entry.plain["run_id"])
    base = shared([entry.plain for entry in entries])
    heads = [_json(without(entry.plain, base)) for entry in entries]
    parts: list[bytes] = []
    at = 0

    def place(content: bytes) -> list[Any]:
        nonlocal at
        parts.append(content)
        at += len(content)
        return [at - len(content), len(content), digest(content)]

    runs: dict[str, dict[str, Any]] = {}
    for entry, head in zip(entries, heads, strict=True):  # heads first: a table reads them alone
        runs[entry.plain["run_id"]] = {"generation": entry.generation, HEAD: place(head)}
    for entry in entries:
        runs[entry.plain["run_id"]][CURVES] = place(entry.curves)
    for entry in entries:
        if entry.weights is not None:
            runs[entry.plain["run_id"]][WEIGHTS] = place(entry.weights)
        elif entry.weights_sum is not None:
            runs[entry.plain["run_id"]][WEIGHTS] = [None, *entry.weights_sum]
    index = _json({"base": base, "bytes": at, "runs": runs})
    sha256 = digest(index)
    line = f"harness-records {FORMAT} {len(index):012} {sha256}\n".encode()
    return sha256[:16] + SUFFIX, [line, index, *parts, index, line]


class Bundle:
    """A bundle on disk, its index read; parts are read when they are asked for.

    damage: what is wrong with the file apart from its parts, "" where nothing is; without a whole
    copy of its index it has no runs. LedgerError for a file that a newer version wrote.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            first, last = (
                _line(os.pread(file.fileno(), LINE, at)) for at in (0, max(0, size - LINE))
            )
            front = _index(file, first, LINE)
            back = _index(file, last, size - LINE - last.length) if last else None
        index = front or back
        if index is None and max(line.format if line else 0 for line in (first, last)) > FORMAT:
            raise LedgerError(f"{path} was written by a newer version of harness; update this one.")
        plain = json.loads(index or '{"base": {}, "runs": {}, "bytes": 0}')
        self.base: Mapping[str, Any] = plain["base"]
        self.runs: Mapping[str, Mapping[str, Any]] = plain["runs"]
        self.start = LINE + len(index or b"")
        self.damage = ""
        if index is None:
            self.damage = "both copies of its index"
        elif front != back or size != 2 * self.start + plain["bytes"]:
            self.damage = "a copy of its index, or its length"

    def generations(self) -> dict[str, int]:
        """run_id -> generation of its entry here."""
        return {run_id: parts["generation"] for run_id, parts in self.runs.items()}

    def entries(
        self, run_ids: Iterable[str], *, curves: bool = True, weights: bool = True
    ) -> Iterator[tuple[str, Entry | DamagedError]]:
        """Each run's entry, or what is wrong with it; only what is read is verified."""
        with self.path.open("rb") as file:
            for run_id in run_ids:
                try:
                    yield run_id, self._entry(file, run_id, curves=curves, weights=weights)
                except DamagedError as reason:
                    yield run_id, reason

    def size(self, run_id: str) -> int:
        """Bytes that a run's parts take."""
        parts = self.runs[run_id]
        return sum(parts[name][1] for name in (HEAD, CURVES, WEIGHTS) if _kept(parts, name))

    def _entry(self, file: BinaryIO, run_id: str, *, curves: bool, weights: bool) -> Entry:
        parts = self.runs[run_id]
        plain = merged(self.base, json.loads(self._part(file, parts, HEAD)))
        if plain["run_id"] != run_id:
            raise DamagedError(f"it holds run {plain['run_id']}")
        return Entry(
            plain=plain,
            curves=self._part(file, parts, CURVES) if curves else b"",
            weights=self._part(file, parts, WEIGHTS) if weights and _kept(parts, WEIGHTS) else None,
            weights_sum=tuple(parts[WEIGHTS][1:]) if WEIGHTS in parts else None,
            generation=parts["generation"],
        )

    def _part(self, file: BinaryIO, parts: Mapping[str, Any], name: str) -> bytes:
        at, length, sha256 = parts[name]
        content = os.pread(file.fileno(), length, self.start + at)
        if digest(content) != sha256:
            missing = len(content) < length
            raise DamagedError(f"{name}: " + ("cut short" if missing else "wrong checksum"))
        return content


class _Line(NamedTuple):
    format: int
    length: int
    sha256: str


def _line(content: bytes) -> _Line | None:
    found = LINES.fullmatch(content)
    return _Line(int(found[1]), int(found[2]), found[3].decode()) if found else None


def _index(file: BinaryIO, line: _Line | None, at: int) -> bytes | None:
    """One copy of the index; None where it, or its line, is damaged."""
    if line is None or line.format > FORMAT or at < 0:
        return None
    content = os.pread(file.fileno(), line.length, at)
    return content if digest(content) == line.sha256 else None


def _kept(parts: Mapping[str, Any], name: str) -> bool:
    return name in parts and parts[name][0] is not None


def _json(plain: Mapping[str, Any]) -> bytes:
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
