"""What every test finds as it was: logging, which a command may set up, and registered names."""

import logging

import pytest

from harness.components import REGISTRIES
from harness.components.registry import _CACHES


def _loggers():
    named = logging.Logger.manager.loggerDict.values()
    return [logging.getLogger(), *(x for x in named if isinstance(x, logging.Logger))]


@pytest.fixture(autouse=True)
def logging_as_before():
    """Take away handlers that a test leaves behind: their streams are closed by then."""
    levels = {logger: logger.level for logger in _loggers()}
    handlers = {logger: set(logger.handlers) for logger in _loggers()}
    yield
    for logger in _loggers():
        for handler in list(logger.handlers):
            own = type(handler).__module__.startswith("_pytest")
            if not own and handler not in handlers.get(logger, ()):
                logger.removeHandler(handler)
        logger.setLevel(levels.get(logger, logging.NOTSET))


@pytest.fixture(autouse=True)
def width_of_no_terminal(monkeypatch):
    """Tables are as wide as without a terminal, whatever COLUMNS was when the tests began."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(autouse=True)
def components_as_before():
    """Take away the components that a test registers: another one lists what there is."""
    before = {kind: dict(registry._registered) for kind, registry in REGISTRIES.items()}
    yield
    for kind, registry in REGISTRIES.items():
        if registry._registered != before[kind]:
            registry._registered = before[kind]
            for clear in _CACHES:
                clear()
