"""What every test of the kernels shares: the backends, and a path to the helper modules beside this file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from int_kernels import available_backends

sys.path.insert(0, str(Path(__file__).parent))  # for `oracle`, `random_programs`, `builds`

# One body, all backends; no deadline, as the machine may be busy; the same examples in every run.
settings.register_profile(
    "kernels",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("kernels")


@pytest.fixture(params=["reference", "native"])
def backend(request: pytest.FixtureRequest) -> str:
    """Each backend in turn; one that isn't built fails the test, since an installation always builds it."""
    name: str = request.param
    assert name in available_backends(), f"backend {name} is not built: run `pip install -e .`"
    return name
