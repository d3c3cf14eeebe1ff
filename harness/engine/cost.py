"""What runs will take of memory and disk, known from their settings before anything is made.

The figures count the large arrays of the engine (see plan.chunk_size, passes, batches, evaluation)
and round up; they are there to refuse what cannot work, not to plan to the last megabyte.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness import system
from harness.components.activations import ACTIVATIONS
from harness.config.groups import Data
from harness.config.run import RunConfig
from harness.data.dataset import Dataset
from harness.engine.initialization import batch_rows, layer_sizes
from harness.engine.plan import chunk_size
from harness.errors import ConfigError

SHARE = 0.8  # of this machine's memory that training may take
BLOCK = 128  # steps whose examples are drawn at once, as in batches.py
SERIES, POINT = 25, 80  # curves a run keeps, and bytes of memory a point of one takes
RECORD_BYTES = 16_000  # on disk: record.json, config.yaml and file heads
CURVE_BYTES = 700  # on disk, of curves.parquet an evaluation, all series together


@dataclass(frozen=True, kw_only=True)
class Need:
    """Bytes one chunk of `K` runs takes, by what takes them."""

    run: RunConfig
    K: int
    parameters: int
    batch: int
    evaluation: int
    curves: int

    @property
    def bytes(self) -> int:
        """All of it."""
        return self.parameters + self.batch + self.evaluation + self.curves


def looks(run: RunConfig) -> int:
    """How often the whole splits are evaluated, step 0 and the end among them."""
    return -(-run.train.steps // run.resolved().train.eval_every) + 1


def parameters(run: RunConfig, data: Dataset) -> int:
    """Numbers that one run learns."""
    embedding = 0 if data.kind == "binary" else data.V * run.model.n_embd
    return sum(i * o + o for _, i, o in layer_sizes(run, data)) + embedding


def weight_bytes(run: RunConfig, data: Dataset) -> int:
    """What one run's weights take on disk."""
    return (8 if run.engine.dtype == "float64" else 4) * parameters(run, data)


def disk_bytes(run: RunConfig, data: Dataset) -> int:
    """What one finished run takes in the ledger: record, curves, weights."""
    return RECORD_BYTES + CURVE_BYTES * looks(run) + weight_bytes(run, data)


def chunk_need(run: RunConfig, data: Dataset, K: int, seeds: int = 1) -> Need:
    """What K stacked runs of this shape take, with `seeds` distinct batch seeds among them."""
    size = 8 if run.engine.dtype == "float64" else 4
    states = 2 + run.optim.spec.slots  # weights, gradients, moments
    sizes = layer_sizes(run, data)
    inputs, hidden, rows = sizes[0][1], sum(run.model.hidden), batch_rows(run, data) + 31
    largest = max(i * o for _, i, o in sizes)
    splits = (data.train, data.val, data.test)
    contexts = sum(len(split.contexts_CT) for split in splits)
    rows_at_once = max(contexts, *(len(split.pair_count_P) for split in splits))
    kept = 3 if run.model.batch_norm or ACTIVATIONS.get(run.model.activation).keeps_pre else 2
    steps = BLOCK if isinstance(run.train.batch_size, int) else 1
    drawn = steps * rows * (2 * data.train.x.shape[1] + 2) * 8
    if run.reg.spec.stage == "activation":
        drawn += BLOCK * rows * hidden * 8
    return Need(
        run=run,
        K=K,
        # drawn in float64, kept in the run's own type, and handed out once more at the end
        parameters=K * parameters(run, data) * ((states + 2) * size + 8) + 3 * 8 * largest,
        batch=K * rows * (3 * inputs + kept * hidden + 5 * data.V) * size + seeds * drawn,
        evaluation=2 * K * contexts * data.V * size + 7 * rows_at_once * data.V * 8,
        curves=K * looks(run) * SERIES * POINT,
    )


def largest_need(runs: Iterable[RunConfig], data: Mapping[Data, Dataset]) -> Need:
    """The need of the chunk that takes most; data: run.data -> its data set."""
    shapes: dict[object, list[RunConfig]] = {}
    for run in runs:
        t = run.train
        key = (run.data, run.model, run.optim.name, t.batch_size, t.steps, t.eval_every, run.engine)
        shapes.setdefault((*key, run.reg.spec.stage == "activation"), []).append(run)
    needs = []
    for alike in shapes.values():
        own = data[alike[0].data]
        K = min(len(alike), chunk_size(alike[0], own))
        seeds = {run.resolved().train.batch_seed for run in alike}
        needs.append(chunk_need(alike[0], own, K, min(K, len(seeds))))
    return max(needs, key=lambda need: need.bytes)


def check_memory(
    runs: Iterable[RunConfig], data: Mapping[Data, Dataset], device: str = "cpu"
) -> Need:
    """The largest need; ConfigError, naming the setting to change, where it cannot be met."""
    need = largest_need(runs, data)
    have = _memory_of(device)
    if have is None or need.bytes <= SHARE * have:
        return need
    run, own = need.run, data[need.run.data]
    if need.K > 1 and chunk_need(run, own, 1).bytes <= SHARE * have:
        key, why = "engine.chunk", f"{need.K} runs at a time need about {system.gib(need.bytes)}"
        raise ConfigError(
            f"{key} is {run.engine.chunk}: {why}; {_allowed(have, device)} Take a smaller chunk, "
            "or engine.chunk=auto."
        )
    parts = {
        "parameters": ("model.hidden", f"{parameters(run, own):,} parameters", "smaller layers"),
        "batch": ("train.batch_size", f"batches of {batch_rows(run, own):,}", "a smaller batch"),
        "evaluation": (
            "data.block_size",
            f"{own.V:,} symbols after every distinct context of data={run.data.name}",
            "fewer words or symbols, or a smaller block_size",
        ),
        "curves": ("train.eval_every", f"{looks(run):,} evaluations", "a larger eval_every"),
    }
    part = max(parts, key=lambda name: getattr(need, name))
    key, what, remedy = parts[part]
    value = run.resolved().flat()[key]
    raise ConfigError(
        f"{key} is {value}: one run with {what} needs about {system.gib(need.bytes)} of memory; "
        f"{_allowed(have, device)} Take {remedy}."
    )


def workers_that_fit(need: Need, wanted: int) -> int:
    """How many processes can train such chunks at once; at least 1, at most `wanted`."""
    have = system.total_memory()
    return wanted if have is None else max(1, min(wanted, int(SHARE * have / need.bytes)))


def check_disk(runs: Iterable[RunConfig], data: Mapping[Data, Dataset], folder: Path) -> None:
    """ConfigError where the ledger's disk has no room for these runs."""
    alike = Counter((run.data, run.model, run.train, run.engine.dtype) for run in runs)
    sizes = {}
    for run in runs:
        key = run.data, run.model, run.train, run.engine.dtype
        if key not in sizes:
            sizes[key] = disk_bytes(run, data[run.data])
    need = sum(alike[key] * size for key, size in sizes.items())
    there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    free = shutil.disk_usage(there).free
    if need > free:
        raise ConfigError(
            f"ledger.dir is '{folder}': these runs need about {system.gib(need)} there; allowed: "
            f"the {system.gib(free)} that are free on its disk. Make room, choose another "
            "ledger.dir, or take fewer runs or evaluations."
        )


def _memory_of(device: str) -> int | None:
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[1])
    return system.total_memory()


def _allowed(have: int, device: str) -> str:
    where = "the card's" if device == "cuda" else "this machine's"
    return f"allowed: {SHARE:.0%} of {where} {system.gib(have)}."
