"""`harness confirm`: the best configurations of a sweep on seeds that did not choose them."""

from __future__ import annotations

from harness.cli import outcome
from harness.cli.sweep import Options, run_jobs_of
from harness.config.run import run_config
from harness.errors import ConfigError
from harness.records.confirmation import chosen_of, confirmed, fresh_runs, fresh_seeds
from harness.records.ledger import Ledger
from harness.records.manifests import SweepManifest
from harness.records.ranking import ranking
from harness.render import console


def confirm(sweep: str, *, top: int, seeds: int, ledger: str, uri: str | None, quiet: bool) -> int:
    """Train the best `top` configurations of a sweep on `seeds` fresh seeds; the exit code.

    One sweep of its own, of top x seeds runs. Given again it trains nothing and shows the result.
    """
    for key, value in (("--top", top), ("--seeds", seeds)):
        if value < 1:
            raise ConfigError(f"{key} is {value}; allowed: a whole number of 1 or more.")
    store = Ledger(ledger)
    manifest = _newest(store) if sweep == "newest" else store.read_sweep(sweep)
    rows = outcome.rows_of(store, manifest.run_ids)
    if not rows:
        raise ConfigError(f"sweep {manifest.sweep_id} has no finished run yet.")
    chosen = {**chosen_of(ranking(list(rows.values())), top), "sweep_id": manifest.sweep_id}
    by_config = {str(row["config_id"]): run_id for run_id, row in rows.items()}
    used = [run_config(plain).seed for plain in manifest.configs.values()]
    fresh = fresh_seeds(used, seeds)
    tracking = {"uri": uri, "name": manifest.tracking.get("name", "mlflow")}
    if "experiment" in manifest.tracking:
        tracking["experiment"] = manifest.tracking["experiment"]
    configs = [
        {**run.nested(), "tracking": tracking, "ledger": {"dir": ledger}}
        for one in chosen["chosen"]
        for run in fresh_runs(
            run_config(manifest.configs[by_config[one["config_id"]]]), fresh
        )
    ]  # fmt: skip
    told = f"--top={top}", f"--seeds={seeds}"
    found = run_jobs_of(
        configs, options=Options(part=True, quiet=quiet, confirms=chosen),
        overrides=("confirm", manifest.sweep_id, *told),
    )  # fmt: skip
    own = store.read_sweep(found.sweep_id or "newest")
    results = confirmed(chosen, list(outcome.rows_of(store, own.run_ids).values()))
    console.confirmation(results, own.settings, own.varying, chosen)
    ahead = [(f"harness report {own.sweep_id[:8]}", "a page of figures")]
    console.where_next(ahead, f"sweep {own.sweep_id}")
    return found.exit_code


def _newest(store: Ledger) -> SweepManifest:
    """The newest sweep that confirms no other."""
    own = [one for one in store.sweeps() if not one.confirms]
    return max(own, key=lambda one: one.created_ms) if own else store.read_sweep()
