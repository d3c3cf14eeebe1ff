"""What a search asks for next, and what each setting of it is worth.

A study is a function of its space, its seed and the values told so far: each batch is asked of a
sampler made anew from those, with a seed of its own. So a search that was killed goes on exactly
where it was, without a sampler's state on disk, and nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.cli.space import Dimension, Space
from harness.config.settings import Search
from harness.errors import ConfigError
from harness.numerics.randomness import stream
from harness.records.searches import Study, Trial, Value

INSTALL = "pip install 'harness[optuna]'"


def study_name(space: Space, search: Search) -> str:
    """16 hex digits naming a search; the number of trials is no part of it."""
    told = [space.to_plain(), search.batch, search.seed, search.sampler]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def batch_size(search: Search, space: Space) -> int:
    """Trials asked for together: as many as fill two stacks of 16 runs, 4 at least."""
    if isinstance(search.batch, int):
        return search.batch
    return max(4, math.ceil(32 / space.seeds))


def ask(study: Study, space: Space, search: Search, count: int) -> list[dict[str, Value]]:
    """The settings of the next `count` trials, from all that was told so far.

    The first batch is a Sobol design under every sampler but `random`.
    """
    done = study.told
    if search.sampler == "random":
        shares = stream(search.seed, f"search/{len(study.batches)}").random(
            (count, len(space.dimensions))
        )
        return [_point(space, row) for row in shares]
    if search.sampler == "qmc" or not done:
        return [_point(space, row) for row in _sobol(space, search.seed, len(done), count)]
    if search.sampler == "cmaes":
        return _ask_cmaes(study, space, search, count)
    return _ask_tpe(study, space, search, count)


def check_sampler(space: Space, search: Search) -> None:
    """ConfigError where a sampler cannot search this space, or its package is missing."""
    if search.sampler == "tpe":
        _optuna()
    if search.sampler != "cmaes":
        return
    names = [one.key for one in space.dimensions if one.choices]
    if names or len(space.dimensions) < 2:
        why = f"{names[0]} is a choice" if names else "there is one dimension"
        raise ConfigError(
            f"search.sampler is 'cmaes', but {why}; allowed: two or more settings that are "
            "numbers. Take search.sampler=tpe."
        )
    if importlib.util.find_spec("cmaes") is None:
        raise ConfigError(
            f"search.sampler=cmaes needs the package cmaes, which is not installed; {INSTALL}."
        )


def _point(space: Space, shares: Sequence[float]) -> dict[str, Value]:
    chosen: dict[str, Value] = {}
    for share, one in zip(shares, space.ordered(), strict=True):
        if space.asked(one.key, chosen):
            chosen[one.key] = one.at(float(share))
    return chosen


def _sobol(space: Space, seed: int, first: int, count: int) -> np.ndarray[Any, Any]:
    """Points first ... first + count of a scrambled Sobol sequence (Owen 1998), (count, D)."""
    from scipy.stats import qmc

    own = int(stream(seed, "search/sobol").integers(2**31))
    sequence = qmc.Sobol(len(space.dimensions), rng=own)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # balance needs powers of 2: a design does not
        if first:
            sequence.fast_forward(first)
        return sequence.random(count)


def _ask_tpe(study: Study, space: Space, search: Search, count: int) -> list[dict[str, Value]]:
    """Multivariate tree-structured Parzen estimator with the constant liar, by Optuna."""
    optuna = _optuna()
    seed = int(stream(search.seed, f"search/{len(study.batches)}").integers(2**31))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna marks `group` as experimental
        sampler = optuna.samplers.TPESampler(
            seed=seed, multivariate=True, group=True, constant_liar=True,
            n_startup_trials=len(study.batches[0]),
        )  # fmt: skip
        known = optuna.create_study(sampler=sampler, direction="minimize")
        for trial in study.told:
            known.add_trial(_frozen(optuna, space, trial))
        out = []
        for _ in range(count):
            asked = known.ask()
            chosen: dict[str, Value] = {}
            for one in space.ordered():
                if space.asked(one.key, chosen):
                    chosen[one.key] = _suggest(asked, one)
            out.append(chosen)
    return out


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise ConfigError(
            f"search.sampler=tpe needs Optuna, which is not installed; {INSTALL}, or take "
            "search.sampler=qmc or random."
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _frozen(optuna: Any, space: Space, trial: Trial) -> Any:
    kinds = {one.key: _distribution(optuna, one) for one in space.dimensions}
    return optuna.trial.create_trial(
        params=trial.params, value=trial.value,
        distributions={key: kinds[key] for key in trial.params},
    )  # fmt: skip


def _distribution(optuna: Any, one: Dimension) -> Any:
    kinds = optuna.distributions
    if one.choices:
        return kinds.CategoricalDistribution(one.choices)
    if one.step is not None:
        step = 1 if one.log else one.step
        return kinds.IntDistribution(int(one.low), int(one.high), log=one.log, step=step)
    return kinds.FloatDistribution(one.low, one.high, log=one.log)


def _suggest(trial: Any, one: Dimension) -> Value:
    if one.choices:
        return str(trial.suggest_categorical(one.key, one.choices))
    if one.step is not None:
        step = 1 if one.log else one.step
        return int(trial.suggest_int(one.key, int(one.low), int(one.high), log=one.log, step=step))
    return one.rounded(trial.suggest_float(one.key, one.low, one.high, log=one.log))


def _ask_cmaes(study: Study, space: Space, search: Search, count: int) -> list[dict[str, Value]]:
    """CMA-ES with its population equal to the batch, replayed from what was told."""
    import cmaes

    D = len(space.dimensions)
    size = max(2, len(study.batches[1]) if len(study.batches) > 1 else count)
    best = min(study.batches[0], key=lambda trial: _finite(trial, math.inf))
    engine = cmaes.CMA(
        mean=np.array([_share(one, best.params[one.key]) for one in space.ordered()]), sigma=0.2,
        bounds=np.array([[0.0, 1.0]] * D), population_size=size,
        seed=int(stream(search.seed, "search/cmaes").integers(2**31)),
    )  # fmt: skip
    worst = max((_finite(trial, 0.0) for trial in study.told), default=0.0) + 1.0
    for batch in study.batches[1:]:
        shares = [engine.ask() for _ in range(size)]
        if len(batch) == size:
            values = [_finite(trial, worst) for trial in batch]
            engine.tell(list(zip(shares, values, strict=True)))
    return [_point(space, np.clip(engine.ask(), 0, 1 - 1e-9)) for _ in range(count)]


def _finite(trial: Trial, otherwise: float) -> float:
    value = trial.value
    return value if value is not None and math.isfinite(value) else otherwise


def _share(one: Dimension, value: Value) -> float:
    low, high, x = one.low, one.high, float(value)
    if one.log:
        low, high, x = math.log(low), math.log(high), math.log(x)
    return (x - low) / (high - low)


def importances(study: Study, space: Space) -> Mapping[str, float]:
    """Share of the yardstick's variance that each setting explains (fANOVA, Hutter et al. 2014).

    Settings that only some trials have are left out; empty with fewer than 8 finite values, or
    without Optuna.
    """
    finite = [t for t in study.told if t.value is not None and math.isfinite(t.value)]
    if len(finite) < 8:
        return {}
    try:
        optuna = _optuna()
    except ConfigError:
        return {}
    known = optuna.create_study(direction="minimize")
    for trial in finite:
        known.add_trial(_frozen(optuna, space, trial))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    try:
        return dict(optuna.importance.get_param_importances(known, evaluator=evaluator))
    except RuntimeError:  # all values equal: nothing to explain
        return {}
