"""Which runs are trained together: groups of one shape, cut into chunks that fit the cache.

Neither grouping nor chunk size changes a number; tests hold that.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from harness.config.derived import Remembers, plain
from harness.config.groups import GROUPS
from harness.config.keys import rule_of
from harness.config.run import RunConfig
from harness.data.dataset import Dataset
from harness.engine.initialization import batch_rows, layer_sizes
from harness.engine.kernel import kernel_of
from harness.engine.objectives import head_key

CACHE_BYTES = 3_500_000  # parameters and activations of a chunk; beyond, each run-step costs more
MOST = 32  # runs a chunk on a CPU; past this nothing is gained
CARD_BYTES = 4_000_000_000  # the same on a CUDA card, where wide stacks keep it busy
CARD_MOST = 1024


def group_key(run: RunConfig) -> tuple[tuple[str, str], ...]:
    """The settings that must agree for two runs to share one program."""
    whole = run.resolved()
    settings = (pair for name in GROUPS for pair in _shape(name, getattr(whole, name)))
    return (*settings, ("kernel", kernel_of(run)))


def _shape(name: str, group: Remembers) -> tuple[tuple[str, str], ...]:
    def derive() -> tuple[tuple[str, str], ...]:
        flat = plain(name, group)
        return tuple((k, repr(v)) for k, v in flat.items() if not rule_of(k)["stacks"])

    return group.once("shape", derive)


def run_bytes(run: RunConfig, data: Dataset) -> int:
    """Memory one more run takes in a chunk: parameters, gradients, optimizer state, activations."""
    size = 8 if run.engine.dtype == "float64" else 4
    optimizer = run.optim.spec
    copies = 1 if optimizer.in_place else 2 + optimizer.slots + optimizer.buffers
    layers = layer_sizes(run, data)
    params = sum(i * o + o for _, i, o in layers) + data.V * run.model.n_embd
    widths = [layers[0][1], *(o for _, _, o in layers)]
    rows = max(batch_rows(run, data), 32)
    return size * (copies * params + 2 * rows * sum(widths))


def chunk_size(run: RunConfig, data: Dataset) -> int:
    """How many runs of this shape to stack when engine.chunk is auto."""
    if isinstance(run.engine.chunk, int):
        return run.engine.chunk
    room, most = (CACHE_BYTES, MOST)
    if run.resolved().engine.device == "cuda":
        room, most = (CARD_BYTES, CARD_MOST)
    return max(1, min(most, room // run_bytes(run, data)))


def chunks(
    runs: Sequence[RunConfig], data: Sequence[Dataset], *, workers: int = 1
) -> list[list[int]]:
    """Places of the runs of each chunk; every run in exactly one, of its own shape and data.

    With several workers a group is cut evenly, into a multiple of their number where it is large
    enough, so that they end together.
    """
    groups: dict[object, list[int]] = {}
    for place, (run, d) in enumerate(zip(runs, data, strict=True)):
        groups.setdefault((id(d), group_key(run)), []).append(place)
    out: list[list[int]] = []
    for places in groups.values():
        places.sort(key=lambda place: (head_key(runs[place]), place))
        asked = {runs[p].engine.chunk: p for p in places}
        most = min(chunk_size(runs[p], data[p]) for p in asked.values())
        count = math.ceil(len(places) / most)
        if isinstance(runs[places[0]].engine.chunk, str):
            count = min(len(places), math.ceil(count / workers) * workers)
        cuts = [round(i * len(places) / count) for i in range(count + 1)]
        if isinstance(runs[places[0]].engine.chunk, int):
            cuts = [min(i * most, len(places)) for i in range(count + 1)]
        out += [places[a:b] for a, b in itertools.pairwise(cuts) if b > a]
    return out
