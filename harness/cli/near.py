"""What was meant by a setting or a flag that there is not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import click

from harness.components.penalties import PENALTIES
from harness.errors import ConfigError, nearest

OWN_FLAGS = {  # those that command_line reads
    "train": ("--again", "--dry-run", "--quiet"),
    "sweep": ("--again", "--dry-run", "--into", "--quiet", "--zip", "--drop"),
    "search": ("--dry-run", "--quiet"),
}

# other programs' words for a setting of ours, compared without dashes and underscores
SYNONYMS = {
    "learningrate": "optim.lr", "eta": "optim.lr", "alpha": "optim.lr", "stepsize": "optim.lr",
    "optimizer": "optim", "optimiser": "optim", "opt": "optim",
    "scheduler": "optim.schedule", "lrscheduler": "optim.schedule", "decay": "optim.schedule",
    "epochs": "train.steps", "iterations": "train.steps", "iters": "train.steps",
    "maxsteps": "train.steps", "numsteps": "train.steps", "nsteps": "train.steps",
    "batch": "train.batch_size", "bs": "train.batch_size", "batchsize": "train.batch_size",
    "patience": "train.early_stopping", "evalinterval": "train.eval_every",
    "width": "model.hidden", "layers": "model.hidden", "depth": "model.hidden",
    "nhidden": "model.hidden", "hiddensize": "model.hidden", "hiddenlayers": "model.hidden",
    "embedding": "model.n_embd", "embeddingdim": "model.n_embd", "embeddim": "model.n_embd",
    "nonlinearity": "model.activation", "batchnorm": "model.batch_norm",
    "context": "data.block_size", "contextlength": "data.block_size", "ngram": "data.block_size",
    "dataset": "data", "file": "data.path", "input": "data.path",
    "gain": "init.weight_scale", "scale": "init.weight_scale", "std": "init.weight_scale",
    "initscale": "init.weight_scale", "initialization": "init", "initialisation": "init",
    "criterion": "loss", "lossfn": "loss", "objective": "loss", "smoothing": "loss.label_smoothing",
    "regularization": "reg", "regularizer": "reg", "penalty": "reg", "lambda": "reg.strength",
    "gpu": "engine.device", "precision": "engine.dtype", "threads": "engine.workers",
    "jobs": "engine.workers", "nworkers": "engine.workers", "randomseed": "seed", "rng": "seed",
    "outputdir": "ledger.dir", "outdir": "ledger.dir", "logdir": "ledger.dir",
    "experimentname": "tracking.experiment", "runname": "tracking.run_name",
}  # fmt: skip


def _synonyms() -> dict[str, str]:
    """SYNONYMS, and the regularizers' names, which other programs have as settings."""
    own = [name for name in PENALTIES.built_in() if PENALTIES.get(name).stage != "none"]
    return SYNONYMS | {name.replace("_", ""): f"reg={name} reg.strength" for name in own}


def setting_meant(key: str, known: Sequence[str]) -> str:
    """The hint " Did you mean 'optim.lr'?" for a setting that there is not; "" where none is near.

    known: every setting, and the groups. The last part of a name decides before its spelling does.
    """
    if names := _by_name(key, known):
        return _said(names)
    last = key.rpartition(".")[2]
    shortest = sorted(known, key=len, reverse=True)
    ends = {name.rpartition(".")[2]: name for name in shortest} | _synonyms()
    if "." not in key and (close := difflib.get_close_matches(last, ends, n=1, cutoff=0.8)):
        return _said([ends[close[0]]])
    return nearest(key, known)


def _by_name(key: str, known: Sequence[str]) -> list[str]:
    """Settings of that very name in another group, or that other programs call so."""
    last = key.rpartition(".")[2]
    same = [name for name in known if name.rpartition(".")[2] == last]
    if same and last not in ("name", "params"):
        return same
    meant = _synonyms().get(last.replace("_", "").replace("-", "").lower())
    return [meant] if meant else []


def _said(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f" Did you mean '{names[0]}'?"
    return f" Did you mean {', '.join(names[:-1])} or {names[-1]}?"


def no_flag(
    flag: str, others: Iterable[str] = (), known: Sequence[str] = (), *,
    context: click.Context | None = None,
) -> ConfigError:  # fmt: skip
    """The ConfigError for a flag that a verb does not have, with the flags it has.

    others: flags that are read for every verb that takes settings; known: as in setting_meant.
    context: the verb's; None: that under way.
    """
    context = context or click.get_current_context(silent=True)
    verb = context.info_name if context is not None and context.parent is not None else "train"
    own = list(OWN_FLAGS.get(verb or "", ()))
    if context is not None:
        options = [one for one in context.command.params if isinstance(one, click.Option)]
        own += [name for one in options for name in one.opts if name.startswith("--")]
    word = flag.partition("=")[0].strip("-")
    hint = nearest(f"--{word}", [*own, *others], cutoff=0.7)
    if not hint and (names := _by_name(word, known)):
        hint = f" Settings have no dashes: {names[0]}=VALUE."
    return ConfigError(
        f"{flag} is no flag of harness {verb}; its own: {', '.join(own)} (harness {verb} --help "
        f"explains them).{hint}"
    )
