"""What one finished run leaves behind: settings, curves, final numbers, weights, provenance.

`RunRecord` is data alone; the ledger keeps it on disk and tracking shows it. Only what touches
weights needs torch, only curves on disk need pyarrow, and both are imported where used.
"""

from __future__ import annotations

import functools
import io
import math
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness import __version__
from harness.components.metrics import shown_in
from harness.config.automatic import spelled
from harness.config.foreign import recall
from harness.config.html import html_table
from harness.config.keys import unnest
from harness.config.labels import text
from harness.config.run import Known, RunConfig, run_config
from harness.numerics.digits import number
from harness.records.verdicts import VERDICTS
from harness.system import KEYS

if TYPE_CHECKING:
    import pandas as pd
    import torch

CURVES, WEIGHTS = "curves.parquet", "weights.safetensors"  # files of a run, wherever it is saved
BRIEF = ("init/loss_measured", "nll/train", "nll/val")  # what a record says of itself
Curve = tuple[NDArray[np.int64], NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What runs trained together measured at one step: metric -> a value a run, in their order.

    Values that are not finite are kept; those of a metric that a run does not have are nan.
    """

    run_ids: Sequence[str]
    step: int
    values: Mapping[str, Sequence[float]]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class RunRecord:
    """One finished run. Missing is absent: values that are not finite are left out here.

    series: metric -> (steps, values), equally long; summary: final value by metric name (nats per
    character unless the name says otherwise); verdict: one of verdicts.VERDICTS.
    weights: name -> tensor: embedding.weight (V, n_embd); hidden.<i>.weight (I, O) with bias (O),
    or gamma, beta, running_mean, running_var under batch norm; output.weight (I, V), output.bias
    (V). Empty where a retention rule dropped them.
    provenance: JSON values: data_sha256, version, numerics, git_commit, git_dirty, torch,
    platform, device, started (unix s), seconds.
    """

    config: RunConfig
    run_id: str
    config_id: str
    series: Mapping[str, Curve]
    summary: Mapping[str, float]
    verdict: str
    weights: Mapping[str, torch.Tensor] = field(default_factory=dict)
    symbols: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict is {self.verdict!r}; known: {', '.join(VERDICTS)}")
        curves = {name: _finite(name, *pair) for name, pair in self.series.items()}
        finite = {name: float(v) for name, v in self.summary.items() if math.isfinite(v)}
        object.__setattr__(self, "series", {n: c for n, c in curves.items() if len(c[0])})
        object.__setattr__(self, "summary", finite)
        object.__setattr__(self, "symbols", tuple(self.symbols))
        object.__setattr__(self, "warnings", tuple(self.warnings))

    def __repr__(self) -> str:
        known = [f"{name} {number(self.summary[name])}" for name in BRIEF if name in self.summary]
        words = ", ".join([self.verdict, *known])
        return f"<RunRecord {self.run_id}: {words}; {self.config!r}>"

    def _repr_html_(self) -> str:
        shown = shown_in("run", self.summary)
        settings = ((key, text(value)) for key, value in self.config.changed().items())
        rows = [*settings, *((name, self.summary[name]) for name in shown)]
        return html_table(f"Run {self.run_id}: {self.verdict}", rows)

    def curves(self) -> pd.DataFrame:
        """Every series as a column over the training step; nan where it was not measured."""
        import pandas as pd

        columns = {name: pd.Series(y, index=x) for name, (x, y) in self.series.items()}
        return pd.DataFrame(columns).rename_axis("step").sort_index()

    def to_plain(self) -> dict[str, Any]:
        """Everything but curves and weights, as JSON values; `from_plain` is the way back."""
        return {
            "run_id": self.run_id,
            "config_id": self.config_id,
            "config": self.config.nested(),
            "verdict": self.verdict,
            "summary": dict(self.summary),
            "symbols": list(self.symbols),
            "warnings": list(self.warnings),
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_plain(
        cls,
        plain: Mapping[str, Any],
        series: Mapping[str, Curve] | None = None,
        weights: Mapping[str, torch.Tensor] | None = None,
        known: Known | None = None,
    ) -> RunRecord:
        """The record of `to_plain`, with its curves and weights; ConfigError on a bad config.

        known: see config.run_config.
        """
        recall(plain["provenance"].get("components"))
        return cls(
            config=run_config(plain["config"], known),
            run_id=plain["run_id"],
            config_id=plain["config_id"],
            series=series or {},
            summary=plain["summary"],
            verdict=plain["verdict"],
            weights=weights or {},
            symbols=tuple(plain["symbols"]),
            warnings=tuple(plain["warnings"]),
            provenance=plain["provenance"],
        )

    def module(self) -> torch.nn.Module:
        """The trained network as a plain module: contexts (B, T) in, logits (B, V) out."""
        from harness.records.modules import module_of

        return module_of(self.config, self.weights, self.symbols)


def _finite(name: str, steps: Iterable[int], values: Iterable[float]) -> Curve:
    steps_N, values_N = np.asarray(steps, np.int64), np.asarray(values, np.float64)
    if steps_N.shape != values_N.shape or steps_N.ndim != 1:
        raise ValueError(
            f"series {name}: steps {steps_N.shape} and values {values_N.shape}; both must be (N,)"
        )
    keep = np.isfinite(values_N)
    return (steps_N, values_N) if keep.all() else (steps_N[keep], values_N[keep])


def machine_of(known: Mapping[str, Any]) -> str | None:
    """The kind of machine that trained a run, in words, from its provenance or tags."""
    parts = [f"{key} {known[key]}" for key in KEYS if key != "kernel" and known.get(key)]
    return ", ".join(parts) or None


def table_row(plain: Mapping[str, Any]) -> dict[str, Any]:
    """One flat row of a table of runs: ids, verdict, settings (group.key), metrics (name/split).

    start: the kind of its start (see theory.advice); machine: see `machine_of`. Both None in
    records of the first version.
    """
    row: dict[str, Any] = {"run_id": plain["run_id"], "config_id": plain["config_id"]}
    row["verdict"] = plain["verdict"]
    row |= spelled([unnest(plain["config"])])[0]
    known = plain.get("provenance", {})
    row["start"], row["machine"] = known.get("start_kind"), machine_of(known)
    row |= plain["summary"]
    row["warnings"] = len(plain["warnings"])
    return row


def curves_parquet(series: Mapping[str, Curve], **constant: str) -> bytes:
    """Curves in long form (name, step, value; `constant` columns first) as a parquet file."""
    import pyarrow as pa

    return table_parquet(_long(series, constant, pa))


def _long(series: Mapping[str, Curve], constant: Mapping[str, str], pa: Any) -> Any:
    names = list(series)
    lengths = [len(series[name][0]) for name in names]
    index = np.repeat(np.arange(len(names), dtype=np.int32), lengths)
    text = pa.dictionary(pa.int32(), pa.string())
    columns = {
        key: pa.DictionaryArray.from_arrays(np.zeros(len(index), np.int32), pa.array([value]))
        for key, value in constant.items()
    }
    columns["name"] = pa.DictionaryArray.from_arrays(index, pa.array(names, pa.string()))
    empty_i, empty_f = np.empty(0, np.int64), np.empty(0, np.float64)
    columns["step"] = pa.array(np.concatenate([empty_i, *(series[n][0] for n in names)]))
    columns["value"] = pa.array(np.concatenate([empty_f, *(series[n][1] for n in names)]))
    schema = pa.schema([(key, text) for key in (*constant, "name")])
    for key, kind in (("step", pa.int64()), ("value", pa.float64())):
        schema = schema.append(pa.field(key, kind))
    return pa.table(columns, schema=schema)


def table_parquet(table: Any) -> bytes:
    """A pyarrow table as the bytes of a parquet file."""
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd", write_statistics=False)
    return out.getvalue()


def read_curves(content: bytes) -> dict[str, Curve]:
    """The series in the bytes of a curves.parquet of one run."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(pa.BufferReader(content), use_threads=False).combine_chunks()
    if not table.num_rows:
        return {}
    column = table.column("name").chunk(0)
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    code = column.indices.to_numpy()
    steps = table.column("step").to_numpy()
    values = table.column("value").to_numpy()
    names = column.dictionary.to_pylist()
    where = {name: np.flatnonzero(code == i) for i, name in enumerate(names)}
    return {name: (steps[at].copy(), values[at].copy()) for name, at in where.items() if len(at)}


def weights_bytes(weights: Mapping[str, torch.Tensor]) -> bytes:
    """Tensors as the bytes of a safetensors file, in order of name."""
    from safetensors.numpy import save  # the same bytes as safetensors.torch's, three times faster

    tensors = {name: weights[name].detach().cpu().contiguous().numpy() for name in sorted(weights)}
    content: bytes = save(tensors)
    return content


def read_weights(content: bytes) -> dict[str, torch.Tensor]:
    """The tensors in the bytes of a safetensors file."""
    from safetensors.torch import load

    tensors: dict[str, torch.Tensor] = load(content)
    return tensors


@functools.cache
def environment() -> dict[str, Any]:
    """Code and machine a run came from, as JSON values; the git state is this package's own."""
    from importlib.metadata import PackageNotFoundError, version

    out: dict[str, Any] = {
        "version": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
    }
    for package in ("torch", "numpy"):
        try:
            out[package] = version(package)
        except PackageNotFoundError:
            continue
    return out | _git_state(Path(__file__).parent)


def _git_state(folder: Path) -> dict[str, Any]:
    """{"git_commit", "git_dirty"} of the tracked tree that a folder is in; {} outside of one."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(folder), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        if not git("ls-files", "--", Path(__file__).name):
            return {}  # installed inside somebody else's repository
        changed = git("status", "--porcelain", "--untracked-files=no")
        return {"git_commit": git("rev-parse", "HEAD"), "git_dirty": bool(changed)}
    except (OSError, subprocess.SubprocessError):
        return {}
