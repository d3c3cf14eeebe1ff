"""Closed-form answers by counting: what a model of the same context must approach.

Maximum-likelihood estimation of p(next | last c characters) on the training split is counting;
add-k smoothing (k pseudo-counts for every symbol) makes it usable on words not seen. In nats per
character throughout.

Axes: V vocabulary, T context, C distinct contexts, P distinct (context, target) pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.errors import ConfigError
from harness.numerics.contexts import Codes, rank_rows

if TYPE_CHECKING:
    from harness.data.dataset import Dataset, Split

ADD = 0.1  # pseudo-counts; of .01, .03, .1, .3 and 1 the best on validation for 3 letters of names


def ngram_nll(data: Dataset, context: int, add: float = ADD) -> dict[str, float]:
    """NLL on "train", "val" and "test" of counts given the last `context` characters.

    p(v | c) = (count(c, v) + add) / (count(c) + add * V), counted on the training split; a context
    never seen gets 1/V. context from 0 (unigram) to block_size. A split on which the NLL is
    infinite, as raw counts (add = 0) give on unseen pairs, is left out.
    """
    if data.kind != "classes":
        raise ConfigError(
            f"data={data.name} has no symbols to count; allowed: a source of words, such as "
            "data=census."
        )
    if not 0 <= context <= data.block_size or add < 0:
        raise ConfigError(
            f"context is {context} and add is {add:g}; allowed: a context from 0 to "
            f"data.block_size={data.block_size}, add 0 or more."
        )
    splits = {"train": data.train, "val": data.val, "test": data.test}
    V, T = data.V, data.block_size
    suffix_CT = np.concatenate([split.contexts_CT for split in splits.values()])[:, T - context :]
    known, rank_C = rank_rows(suffix_CT, V)  # one numbering of contexts for all three splits
    ends = np.cumsum([len(split.contexts_CT) for split in splits.values()])[:-1]
    ranks = dict(zip(splits, np.split(rank_C, ends), strict=True))
    key_P = _pair_keys(data.train, ranks["train"], V)
    key_Q, inverse_P = np.unique(key_P, return_inverse=True)
    count_Q = np.bincount(inverse_P, weights=data.train.pair_count_P)
    total_C = np.bincount(key_Q // V, weights=count_Q, minlength=len(known))
    out = {}
    for name, split in splits.items():
        key_P = _pair_keys(split, ranks[name], V)
        place_P = np.minimum(np.searchsorted(key_Q, key_P), len(key_Q) - 1)
        count_P = np.where(key_Q[place_P] == key_P, count_Q[place_P], 0.0) + add
        total_P = total_C[key_P // V] + add * V
        if (count_P > 0).all():
            nats_P = np.log(total_P) - np.log(count_P)
            out[name] = float((split.pair_count_P * nats_P).sum() / split.n)
    return out


def _pair_keys(split: Split, rank_C: Codes, V: int) -> Codes:
    return rank_C[split.pair_context_P] * V + split.pair_target_P


def floors(data: Dataset) -> dict[str, float]:
    """Lines to hold a run's NLL against, by metric name; {} for binary sources.

    floor/unigram, floor/bigram, floor/context: raw counts of 0, 1 and block_size characters on the
    training split itself. The last is the lowest training NLL any model of this context can reach;
    a model that only knows frequencies reaches the first.
    floor/<name>_val: the same models with add-0.1 smoothing, on validation: what counting alone
    attains on new words, to be beaten by a network.
    For a source that is known exactly also floor/entropy_rate (lowest expected NLL at this
    block_size) and floor/oracle_train, _val, _test: the true source on these very words.
    """
    if data.kind != "classes":
        return {}
    orders = {"unigram": 0, "bigram": 1, "context": data.block_size}
    out = {f"floor/{name}": ngram_nll(data, order, 0.0)["train"] for name, order in orders.items()}
    out |= {f"floor/{name}_val": ngram_nll(data, order)["val"] for name, order in orders.items()}
    if data.oracle is not None:
        out["floor/entropy_rate"] = data.oracle["floor"]
        for name in ("train", "val", "test"):
            out[f"floor/oracle_{name}"] = data.oracle[f"nll_{name}"]
    return out
