"""Hostile configs, command lines, names, YAML and word lists, in any number.

    python -m tests.campaigns.fuzz --examples 10000 [--seed 0] [--only "command lines"]

Each example must end with a result or with a message and exit code 2, without a traceback, and
with nothing made in its folder. Prints the figures; exit code 1 and the smallest bad example where
one does not. Examples differ from those of the tests, and with the seed.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections import Counter

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.support import hostile


def tried(name: str, examples: int, start: int) -> tuple[int, int, str]:
    """(examples tried, of them faulty, the smallest faulty one) of one property."""
    _, strategy, fault = hostile.PROPERTIES[name]
    counts: Counter[str] = Counter()

    @seed(start)
    @settings(
        max_examples=examples, deadline=None, database=None, report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink],
    )  # fmt: skip
    @given(strategy)
    def holds(example: object) -> None:
        found = fault(example)
        counts["tried"] += 1
        counts["faulty"] += found is not None
        assert found is None, f"{found}\n  example: {example!r}"

    try:
        holds()
    except AssertionError as error:
        return counts["tried"], counts["faulty"], str(error)
    return counts["tried"], 0, ""


def main() -> int:
    """Run the campaign in rounds of 500 examples, each from a seed of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=list(hostile.PROPERTIES))
    asked = parser.parse_args()
    # a setting that slips past the check of memory must fail here, not take the machine down
    resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))
    total = faulty = 0
    for name, (share, _, _) in hostile.PROPERTIES.items():
        if asked.only not in (None, name):
            continue
        wanted = asked.examples if asked.only else round(share * asked.examples)
        done, began, wrong = 0, time.monotonic(), ""
        hostile.SEEN.clear()
        while done < wanted and not wrong:
            size = min(500, wanted - done)
            count, bad, wrong = tried(name, size, asked.seed * 1_000_003 + done)
            done, faulty = done + max(count, 1), faulty + bad
        total += done
        ends = ", ".join(f"{count:,} {end}" for end, count in sorted(hostile.SEEN.items()))
        print(
            f"{name:18} {done:6,} examples ({ends}), {time.monotonic() - began:.0f} s", flush=True
        )
        if wrong:
            print(f"  {wrong}", flush=True)
    print(f"{'all':18} {total:6,} examples, {faulty} faulty")
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main())
