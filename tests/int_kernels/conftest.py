"""What every test of the kernels shares: the backends and the compiled core."""

from __future__ import annotations

import platform

import pytest
from hypothesis import HealthCheck, settings
from support.builds import compile_core

from int_kernels import available_backends, available_kernels

# One body, all backends; no deadline, as the machine may be busy; the same examples in every run.
settings.register_profile(
    "kernels",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("kernels")


# Every table of inner loops there is for machines of this kind (test_arm.py runs those for AArch64 on any).
ARM = ("c", "neon", "neon-dotprod")
X86 = (
    "c",
    "avx2",
    *(name for name in ("avxvnni", "amx") if name in available_kernels()),  # test_avxvnni.py, test_amx.py
    "avx512vl-vnni",
    "avx512vnni",
)
KERNELS = ARM if platform.machine() in ("aarch64", "arm64") else X86


def choose_kernels(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on the native backend uses this table; a processor without its instructions skips the test."""
    if name not in available_kernels():
        pytest.skip(f"kernels {name} do not run on this processor")
    monkeypatch.setenv("ZEROQ_KERNELS", name)


@pytest.fixture(params=KERNELS)
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each table of inner loops in turn."""
    name: str = request.param
    choose_kernels(name, monkeypatch)
    return name


@pytest.fixture(params=["reference", *(f"native-{name}" for name in KERNELS)])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each backend in turn, the native one with each table of inner loops; one that isn't built fails the test, since
    an installation always builds it."""
    name, _, table = str(request.param).partition("-")
    assert name in available_backends(), f"backend {name} is not built: run `pip install -e .`"
    if table:
        choose_kernels(table, monkeypatch)
    return name


@pytest.fixture(scope="session")
def core_objects(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The core compiled with -O1 -DZQ_SINGLE_VERSION, for programs of tests to be linked with."""
    return compile_core(tmp_path_factory.mktemp("core"), "-O1", "-DZQ_SINGLE_VERSION")
