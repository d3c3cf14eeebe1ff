"""`harness search`: the best of a space, a batch of trials fused at a time.

The study (see study.py) is written before a batch is trained and after its values are known. A
command that is given again goes on behind what is there; a finished one only reports.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.cli import command_line, halving, hydra_api, outcome
from harness.cli.composition import compose_jobs
from harness.cli.jobs import check_choice
from harness.cli.space import Space
from harness.cli.study import ask, batch_size, check_sampler, importances, study_name
from harness.components.losses import LOSSES
from harness.config.run import build, run_config
from harness.config.settings import Ledger as LedgerSettings
from harness.config.settings import Search, Tracking, own_settings
from harness.errors import ConfigError, HarnessError
from harness.numerics.digits import fixed
from harness.records.durable import locked
from harness.records.ledger import Ledger
from harness.records.ranking import CALIBRATED, RAW, measured
from harness.records.searches import Study, Trial, open_study
from harness.render import console
from harness.tracking.tracker import sync_sweep

PREFIX = "search."
Launch = Callable[[list[list[str]]], Any]


def run(argv: Sequence[str]) -> int:
    """Run one command line of `harness search`; returns the exit code."""
    own, rest = command_line.own_flags(argv)
    for name in ("into", "zip", "drop", "again"):
        if getattr(own, name):
            raise ConfigError(f"--{name} means nothing to harness search; leave it out.")
    texts = [text for text in rest if text.startswith(PREFIX)]
    given = {s.key.removeprefix(PREFIX): s.values for s in hydra_api.parse_overrides(texts)}
    for key, values in given.items():
        if len(values) != 1:
            raise ConfigError(f"search.{key} has {len(values)} values; allowed: one.")
    settings = build(Search, PREFIX, {key: values[0] for key, values in given.items()})
    task = SearchTask(dry_run=own.dry_run, quiet=own.quiet, settings=settings)
    rest = [text for text in rest if text not in texts]
    return command_line.call(rest, task, multirun=True)


@dataclass
class SearchTask(command_line.Task):
    """What the sweeper calls in place of walking a grid."""

    settings: Search = field(default_factory=Search)
    run_ids: tuple[str, ...] = ()  # of the last batch, a job in order

    def search(
        self, loader: Any, master: Any, axes: tuple[Mapping[str, Any], Sequence[str]],
        launch: Launch,
    ) -> list[Any]:  # fmt: skip
        """Ask, train and tell batch after batch until all trials have a value."""
        space = hydra_api.read_space(loader, *axes)
        check_sampler(space, self.settings)
        name = study_name(space, self.settings)
        probe = ask(Study(name, Path()), space, self.settings, 1)
        (config,) = compose_jobs(loader, master, [space.jobs(probe[0])[0]])
        own = run_config(own_settings(config))  # every setting is checked before anything is made
        check_choice([own.data], "harness search")
        folder = build(LedgerSettings, "ledger.", config.get("ledger") or {}).dir
        ledger = Ledger(folder)
        study = open_study(ledger.root, name)
        study.metric = study.metric or _metric(space, own.loss.name)
        study.dimensions = [dataclasses.asdict(one) for one in space.ordered()]
        if self.dry_run:
            self._dry_run(study, space, launch)
            return []
        self.into = study.sweep_id
        if len(study.told) < self.settings.trials:
            ledger.prepare()
            with locked(study.path.with_suffix(".lock"), f"search {name}"):
                self._go_on(study, space, ledger, launch)
        if not study.importances and (found := importances(study, space)):
            study.importances = found
            study.save()
        self._tell(study, ledger, build(Tracking, "tracking.", config.get("tracking") or {}))
        return []

    def _go_on(self, study: Study, space: Space, ledger: Ledger, launch: Launch) -> None:
        while len(study.told) < self.settings.trials:
            if not study.batches or study.batches[-1][-1].value is not None:
                left = self.settings.trials - len(study.told)
                count = min(batch_size(self.settings, space), left)
                asked = ask(study, space, self.settings, count)
                study.batches.append([Trial(params) for params in asked])
                study.save()
            batch = study.batches[-1]
            launch([job for trial in batch for job in space.jobs(trial.params)])
            if self.error is not None:
                raise self.error
            rows = outcome.rows_of(ledger, self.run_ids)
            for place, trial in enumerate(batch):
                trial.runs = list(self.run_ids[place * space.seeds : (place + 1) * space.seeds])
                trial.value = _value(trial.runs, rows, study.metric, ledger)
            study.sweep_id, study.importances = self.into, {}
            study.save()
            best = min(study.told, key=lambda trial: trial.worth)
            console.say(
                f"search: {len(study.told)} of {self.settings.trials} trials, best {study.metric} "
                f"{fixed(best.worth)} at {_settings(best)}"
            )

    def _run(self, configs: Sequence[Any], *, single: bool) -> list[Any]:
        from harness.cli.sweep import Options, run_jobs_of

        options = Options(
            dry_run=self.dry_run, into=self.into, quiet=self.quiet, single=single, part=True
        )
        found = run_jobs_of(configs, options=options, overrides=self.overrides)
        self.exit_code = max(self.exit_code, found.exit_code)
        self.into, self.run_ids = self.into or found.sweep_id, found.run_ids
        return found.values

    def _dry_run(self, study: Study, space: Space, launch: Launch) -> None:
        size = min(batch_size(self.settings, space), self.settings.trials)
        told = len(study.told)
        print(
            f"search over {', '.join(one.key for one in space.dimensions)}: {self.settings.trials} "
            f"trials of {space.seeds} run{'s' * (space.seeds > 1)}, {size} trials together, by "
            f"{study.metric}; {told} have a value already. The first batch:\n"
        )
        fresh = ask(Study(study.name, study.path), space, self.settings, size)
        launch([job for params in fresh for job in space.jobs(params)])

    def _tell(self, study: Study, ledger: Ledger, tracking: Tracking) -> None:
        runs = list(dict.fromkeys(run_id for trial in study.told for run_id in trial.runs))
        rows = outcome.rows_of(ledger, runs)
        assert study.sweep_id is not None
        manifest = ledger.read_sweep(study.sweep_id)
        tracked = tracking.name != "off"
        if tracked:  # the parent ended with the last batch, before its values were known
            try:
                sync_sweep(ledger, manifest, tracking)
            except HarnessError as error:
                console.say(str(error))
        outcome.tell(rows, {}, manifest, single=False, tracked=tracked)
        if study.importances:
            shares = list(study.importances.items())[:5]
            told = ", ".join(f"{key} {share:.0%}" for key, share in shares)
            print(f"\nwhat the differences come from (fANOVA): {told}")
        n = len(study.told)
        print(
            f"\nThe best of {n} trials flatters itself, the more so the more were tried:\n"
            f"  harness confirm {study.sweep_id[:8]} --top 5 --seeds 10  trains the best on fresh "
            "seeds"
        )


def _metric(space: Space, own: str) -> str:
    """The yardstick of a space: raw NLL only where every loss in it is a likelihood."""
    names = {own}
    for one in space.dimensions:
        if one.key in ("loss", "loss.name"):
            names = set(one.choices)
    likely = all(LOSSES.get(name).likelihood for name in names)
    return RAW[0] if likely else CALIBRATED[0]


def _value(runs: Sequence[str], rows: Mapping[str, Any], metric: str, ledger: Ledger) -> float:
    """Mean over a trial's runs; inf where one diverged, failed or has none.

    Of a run that halving dropped, the best so far.
    """
    series = halving.RAW if metric == RAW[0] else halving.CALIBRATED
    values = [
        measured(rows[run_id], metric)
        if run_id in rows
        else halving.best_so_far(run_id, math.inf, ledger, series)
        for run_id in runs
    ]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else math.inf


def _settings(trial: Trial) -> str:
    return " ".join(f"{key}={value}" for key, value in trial.params.items())
