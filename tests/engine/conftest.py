"""Every test of the engine runs on both of its forms: the native kernels, and torch."""

import pytest

from harness.engine import kernel


@pytest.fixture(autouse=True, scope="module", params=["native", "torch"])
def form(request):
    """Which form engine.kernel=auto takes in a module's tests."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "torch":
            patch.setattr(kernel, "unavailable", lambda dtype="float32": "the test wants torch")
        elif why := kernel.unavailable():
            pytest.skip(why)
        yield request.param
