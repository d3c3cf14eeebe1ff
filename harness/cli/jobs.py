"""The jobs of a grid: every setting and all data checked, before anything is trained or written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness import system
from harness.cli.halving import Configuration
from harness.cli.progress import WATCHED
from harness.components.metrics import having, select
from harness.config.foreign import check_trainable
from harness.config.groups import Data
from harness.config.run import Known, RunConfig, build
from harness.config.settings import Cluster, Halving, Tracking, read_cluster
from harness.config.settings import Ledger as LedgerSettings
from harness.data.remarks import data_notes
from harness.errors import ConfigError
from harness.records.ledger import Ledger
from harness.records.saved import read_config
from harness.render import console
from harness.tracking.addresses import store_address

if TYPE_CHECKING:
    from harness.data.dataset import Dataset
    from harness.engine.cost import Need


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """A checked grid: `run_ids` a job in order (equal ones repeat), `runs` by id, each once."""

    run_ids: tuple[str, ...]
    runs: Mapping[str, RunConfig]
    checksums: Mapping[Data, str]
    tracking: Tracking
    ledger: LedgerSettings
    executor: str
    cluster: Cluster
    halving: Halving
    sets: Mapping[Data, Dataset]
    need: Need  # of the chunk that takes most memory


def check_jobs(configs: Sequence[Mapping[str, Any]]) -> Jobs:
    """Settings and data of every job; nothing is written. ConfigError or DataError if wrong."""
    from harness.data.dataset import load_data
    from harness.engine.cost import check_memory, largest_need
    from harness.execution.interface import check_executor

    known: Known = {}  # tens of thousands of points consist of a few dozen groups
    runs = [read_config(config, known=known) for config in configs]
    places: dict[str, Mapping[str, Any]] = {}
    for config in configs:
        around = [config.get(group) for group in ("tracking", "ledger", "engine", "halving")]
        places.setdefault(repr(around), config)
    surroundings = {_surroundings(config) for config in places.values()}
    if len(surroundings) > 1:
        raise ConfigError(
            "tracking.*, ledger.*, halving.*, engine.executor, engine.ray.* or engine.slurm.* "
            "differ between the runs of one sweep; allowed: one value each. Start a sweep for each."
        )
    check_trainable(runs, elsewhere=True)
    sources = dict.fromkeys(run.data for run in runs)
    sets = {data: load_data(data) for data in sources}
    checksums = {data: found.sha256 for data, found in sets.items()}
    tracking, kept, cluster, halving, executor = surroundings.pop()
    if tracking.name != "off":
        store_address(tracking.uri)
    if halving.factor is not None:
        check_choice(sources, "halving")
    check_executor(executor)
    from harness.engine.device import (
        device_of,  # torch: loaded once all else is known to be right
    )
    from harness.engine.kernel import without_kernels

    if executor == "local":
        _check_device(runs)
        need = check_memory(runs, sets, device_of(runs[0]))
    else:  # other machines have other memories and cards: what does not fit there is halved there
        need = largest_need(runs, sets)
    for text in data_notes(runs, sets):
        console.say(text)
    if executor == "local" and (text := without_kernels(runs)):
        console.say(text)
    ids = tuple(run.run_id(checksums[run.data], device_of(run)) for run in runs)
    return Jobs(
        run_ids=ids, runs=dict(zip(ids, runs, strict=True)), checksums=checksums,
        tracking=tracking, ledger=kept, executor=executor, cluster=cluster, halving=halving,
        sets=sets, need=need,
    )  # fmt: skip


def check_choice(sources: Iterable[Data], chooser: str) -> None:
    """ConfigError where some runs have no validation to be chosen by."""
    for data in sources:
        if data.split[1] == 0:
            raise ConfigError(
                f"data.split is {list(data.split)}, without validation, by which {chooser} "
                "chooses; allowed: a second share above 0, such as [.8,.2,0]."
            )


def _surroundings(
    config: Mapping[str, Any],
) -> tuple[Tracking, LedgerSettings, Cluster, Halving, str]:
    tracking = build(Tracking, "tracking.", config.get("tracking") or {})
    kept = build(LedgerSettings, "ledger.", config.get("ledger") or {})
    halving = build(Halving, "halving.", config.get("halving") or {})
    return tracking, kept, read_cluster(config), halving, read_config(config).engine.executor


def _check_device(runs: Sequence[RunConfig]) -> None:
    import torch

    if any(run.engine.device == "cuda" for run in runs) and not torch.cuda.is_available():
        raise ConfigError(
            "engine.device is 'cuda', but torch finds no CUDA card here; allowed here: auto, cpu. "
            "A card needs its driver and torch's CUDA build: make setup TORCH=cuda."
        )


def check_room(jobs: Jobs, ledger: Ledger) -> None:
    """ConfigError where the disk has no room for what is still to be trained."""
    from harness.engine.cost import check_disk

    done = ledger.finished(jobs.runs)
    todo = [run for run_id, run in jobs.runs.items() if run_id not in done]
    check_disk(todo, jobs.sets, ledger.root)


def configurations(jobs: Jobs) -> list[Configuration]:
    """The grid's configurations, in its order, each with its seeds."""
    from harness.engine.device import device_of

    found: dict[str, dict[str, RunConfig]] = {}
    for run_id, run in jobs.runs.items():
        name = run.config_id(jobs.checksums[run.data], device_of(run))
        found.setdefault(name, {})[run_id] = run
    return [Configuration(runs) for runs in found.values()]


def live(jobs: Jobs) -> tuple[str, ...]:
    """The curves that are shown while training goes on, those of a user's own metrics included."""
    own = {f"{name}/val": None for run in jobs.runs.values() for name in run.train.metrics}
    return tuple(dict.fromkeys([WATCHED, *select([*having(), *own], live=True)]))


def workers(jobs: Jobs) -> int:
    """How many worker processes: as asked for, or what cores and memory allow."""
    asked = next(iter(jobs.runs.values())).engine.workers
    if isinstance(asked, int):
        return asked
    from harness.engine.cost import workers_that_fit

    return workers_that_fit(jobs.need, system.cores())
