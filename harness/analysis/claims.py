"""What is on record of a finished run, wherever it stands: ledger, MLflow, or a saved config.

A claim is what a reproduction must meet. It is read strictly: settings that this version does not
know, or that it knows and the record lacks, are refused (see saved.check_whole).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.analysis.lookup import MLFLOW_DIGITS, in_mlflow, run_named
from harness.analysis.places import Places, places
from harness.config.foreign import recall
from harness.config.keys import nest
from harness.config.run import RunConfig, run_config
from harness.config.settings import own_settings
from harness.errors import ConfigError, HarnessError, shown
from harness.records.ledger import Ledger
from harness.records.record import CURVES, WEIGHTS, Curve, read_curves
from harness.records.saved import check_whole, read_config
from harness.tracking.addresses import redacted

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One run's numbers as they were written down.

    series hold every point if `whole`, else some of them. weights_sha256: of
    records.weights_bytes, where the weights themselves were not kept. provenance as in a record;
    what is not known is absent. config None: settings of another version; `refusal` says why.
    """

    run_id: str
    source: str
    config: RunConfig
    series: Mapping[str, Curve]
    whole: bool = True
    summary: Mapping[str, float] = field(default_factory=dict)
    verdict: str | None = None
    weights: Mapping[str, torch.Tensor] = field(default_factory=dict)
    weights_sha256: str | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)


def find_claim(run: str, where: Places | None = None) -> Claim:
    """The claim of a run by any of its names (see lookup.find_record).

    MLflow is asked where the ledger has no such run, and for its own ids. ConfigError where nothing
    or too much answers to the name.
    """
    where = where or places()
    if run.endswith((".yaml", ".yml")) or "/" in run or os.path.isfile(run):  # noqa: PTH113
        return _of_file(Path(run), where)
    run, home = run_named(run, where), where.ledger
    known = home.run_ids() if home is not None and len(run) != MLFLOW_DIGITS else []
    if home is not None and any(run and one.startswith(run) for one in known):
        return of_ledger(home, home.find_run(run))
    return _of_mlflow(run, where)


def of_ledger(ledger: Ledger, run_id: str) -> Claim:
    """What the ledger holds of a run; ConfigError where this version cannot follow it."""
    plain = ledger.read_plain(run_id)
    if plain is not None:
        check_whole(plain["config"], f"run {run_id}", plain["provenance"])
    record = ledger.read(run_id) if plain is not None else None
    if record is None:
        raise ConfigError(f"run {run_id} was damaged and has been set aside; train it again.")
    return Claim(
        run_id=run_id, source=f"the ledger {ledger.root}", config=record.config,
        series=record.series, summary=record.summary, verdict=record.verdict,
        weights=record.weights, weights_sha256=ledger.weights_sha256([run_id]).get(run_id),
        provenance=record.provenance,
    )  # fmt: skip


def _of_file(path: Path, where: Places) -> Claim:
    """A saved config: its own settings, and the numbers of the run that has them."""
    from harness.data.dataset import load_data
    from harness.engine.device import device_of

    path = path / "config.yaml" if path.is_dir() else path
    try:
        values = _yaml(path.read_bytes(), str(path))
    except OSError as error:
        raise ConfigError(f"RUN is {shown(str(path))}, which cannot be read: {error}") from error
    config, stamp = read_config(values, str(path)), _stamp(values)
    beside = path.with_name(CURVES)
    run_id = config.run_id(
        stamp.get("data_sha256") or load_data(config.data).sha256,
        stamp.get("device") or device_of(config),
    )
    homes = [where.ledger] if where.ledger is not None else []
    if path.absolute().parent.parent.name == "records":
        homes.append(Ledger(path.absolute().parents[2]))
    for home in homes:
        if home.has(run_id):
            return of_ledger(home, run_id)
    if beside.is_file():
        from harness.tracking import portable

        weights = path.with_name(WEIGHTS)
        kept = portable.unpack(weights.read_bytes())[0] if weights.is_file() else {}
        return Claim(
            run_id=run_id, source=f"the files beside {path}", config=config,
            series=read_curves(beside.read_bytes()), weights=kept, provenance=stamp,
        )  # fmt: skip
    try:
        return _of_mlflow(run_id, where)
    except ConfigError as error:
        raise ConfigError(
            f"{path} describes run {run_id}, but there is nothing to compare with: {error} "
            f"`harness train -cp {path.parent} -cn {path.stem}` trains it."
        ) from error


def _of_mlflow(name: str, where: Places) -> Claim:
    from harness.tracking import portable
    from harness.tracking.reader import setting

    store, done = in_mlflow(name, where)
    run, weights = done[0], [store.artifact(one, WEIGHTS) for one in done[:5]]
    tags, source = run.data.tags, f"run {run.info.run_id} of MLflow at {redacted(store.uri)}"
    recall(json.loads(tags.get("harness.components", "{}")))
    content = store.artifact(run, "config.yaml")
    if content is not None:
        values = _yaml(content, f"config.yaml of {source}")
        config, stamp = read_config(values, f"config.yaml of {source}"), _stamp(values)
    else:
        values, stamp = nest({k: setting(text) for k, text in run.data.params.items()}), {}
        check_whole(values, source, {"version": tags.get("harness.version", "of another version")})
        config = run_config(values)
    known = {k.removeprefix("harness."): setting(v) for k, v in tags.items()} | dict(stamp)
    known["data_sha256"] = stamp.get("data_sha256") or tags.get("harness.data_sha256")
    series, whole = store.curves(run)
    kept = next((portable.unpack(one)[0] for one in weights if one is not None), {})
    return Claim(
        run_id=tags["harness.run_id"], source=source, config=config, series=series,
        whole=whole, verdict=tags["harness.verdict"], weights=kept,
        summary={k: v for k, v in run.data.metrics.items() if k not in series},
        weights_sha256=tags.get("harness.weights_sha256"), provenance=known,
    )  # fmt: skip


def _yaml(content: bytes, where: str) -> dict[str, Any]:
    """Plain values of a saved config; ConfigError for what is none. Nothing in it is built."""
    import yaml

    try:
        values = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"{where} is no YAML: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{where} is no saved config: it holds {shown(values)}, not groups.")
    return own_settings({str(name): inner for name, inner in values.items()})


def _stamp(values: Mapping[str, Any]) -> dict[str, Any]:
    stamp = values.get("saved") or {}
    if not isinstance(stamp, dict):
        raise HarnessError(f"`saved` is {json.dumps(stamp)}; harness writes a mapping there.")
    return stamp
