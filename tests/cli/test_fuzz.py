"""Whatever is written on a command line or in a file: a message or a result, never a traceback.

`python -m tests.campaigns.fuzz` tries the same properties on as many examples as asked.
"""

import pytest
from hypothesis import HealthCheck, given, settings

from tests.support import hostile

# a whole command takes a fifth of a second: few of those, more of what is checked at once
EXAMPLES = {
    "composed configs": 150, "data files": 100, "command lines": 8, "names and paths": 40,
    "YAML files": 8,
}  # fmt: skip


def tried(name, examples, *, seed):
    """Run one property on so many examples; AssertionError with the smallest bad one."""
    _, strategy, fault = hostile.PROPERTIES[name]

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=seed is None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def holds(example):
        assert fault(example) is None

    holds()


@pytest.mark.parametrize("name", EXAMPLES)
def test_nothing_escapes(name):
    tried(name, EXAMPLES[name], seed=None)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_nothing_escapes_however_long_one_looks(name):
    tried(name, 10 * EXAMPLES[name], seed=None)
