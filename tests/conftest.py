"""What every test finds as it was: logging, which a command run in this process may set up."""

import logging

import pytest


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
