"""The kernels for AArch64, compiled for it and run under qemu: the same cases, the same bytes."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from support.builds import CORE, INCLUDE, NATIVE, SOURCES, object_name, run
from support.convolution_extremes import EXTREMES, biases_that_use_the_whole_accumulator
from support.machine_code import real_arithmetic_in
from support.random_programs import NARROW, WIDE
from support.trials import Trial, random_trials, run_trials, trials_of

from int_kernels import available_kernels

DRIVER = Path(__file__).parent / "native" / "run_trials.c"
COMPILER, EMULATOR, LISTER = "aarch64-linux-gnu-gcc", "qemu-aarch64", "aarch64-linux-gnu-objdump"
ABSENT = [name for name in (COMPILER, EMULATOR, LISTER) if shutil.which(name) is None]
needs_tools = pytest.mark.skipif(
    bool(ABSENT),
    reason=f"no {', '.join(ABSENT)} (apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)",
)
STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror", f"-I{NATIVE}")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target, sources = tmp_path_factory.mktemp("arm") / "run_trials", [str(path) for path in (DRIVER, *CORE)]
    run(COMPILER, "-std=c99", "-O3", "-static", f"-I{NATIVE}", *sources, "-o", str(target))
    return target


def assert_right(command: list[str], trials: list[Trial], path: Path, tables: Sequence[str]) -> None:
    """Every table ran every trial and no byte differs."""
    done = run_trials(command, trials, path)
    first = re.match(r"trial (\d+)", done.stdout)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{trials[int(first[1])].program if first else ''}"
    assert done.stdout.splitlines() == [f"{name} {len(trials)}" for name in tables]


def emulate(driver: Path, trials: list[Trial], path: Path) -> None:
    """All of them on a processor with the dot product; some on one without, as its tables ran on the first already."""
    assert_right([EMULATOR, "-cpu", "max", str(driver)], trials, path, ("neon-dotprod", "neon", "c"))
    assert_right([EMULATOR, "-cpu", "cortex-a53", str(driver)], trials[::8], path, ("neon", "c"))


@needs_tools
def test_convolutions_equal_the_reference_where_vector_code_breaks(driver: Path, tmp_path: Path) -> None:
    trials = trials_of(EXTREMES)
    assert len(trials) > 1000
    emulate(driver, trials, tmp_path / "trials")


@needs_tools
@pytest.mark.slow
def test_random_programs_equal_the_reference(driver: Path, tmp_path: Path) -> None:
    trials = random_trials(150, NARROW, 300, 4)
    wide = random_trials(10, WIDE, 200, 1)
    trials += [trial for trial in wide if trial.x.shape[1] <= 200]  # longer ones take minutes in an emulator
    assert len(trials) > 200
    emulate(driver, trials, tmp_path / "trials")


def listing(tmp_path: Path, source: Path) -> str:
    target = tmp_path / f"{object_name(source)}.o" if NATIVE in source.parents else tmp_path / "f.o"
    run(COMPILER, "-std=c99", "-O3", *STRICT, "-c", str(source), "-o", str(target))
    return run(LISTER, "-d", "--no-show-raw-insn", str(target))


@needs_tools
def test_no_real_arithmetic_and_no_warning(tmp_path: Path) -> None:
    listings = {object_name(source): listing(tmp_path, source) for source in SOURCES}
    assert [real_arithmetic_in(text, "aarch64") for text in listings.values()] == [{}] * len(listings)
    for name, text in listings.items():  # only code that is called after a look at the processor may have SDOT
        assert bool(re.search(r"\bsdot\b", text)) == name.startswith("arm.dotprod.")
        assert not re.match(r"arm\.neon\.de", name) or re.search(r"\bsmlal2?\b", text)


@needs_tools
def test_the_scan_can_fail(tmp_path: Path) -> None:
    source = tmp_path / "f.c"
    source.write_text("int f(float a) { return a * 0.3f > 7; }")
    assert real_arithmetic_in(listing(tmp_path, source), "aarch64") != {}


@needs_tools
def test_older_and_newer_processors_can_be_compiled_for(tmp_path: Path) -> None:
    for processor in ("armv8-a+nosimd", "armv8.2-a+dotprod", "armv9-a"):
        for source in (NATIVE / "core/dispatch.c", *sorted((NATIVE / "arm").rglob("*.c"))):
            run(
                COMPILER,
                "-std=c99",
                "-O2",
                INCLUDE,
                f"-march={processor}",
                "-c",
                str(source),
                "-o",
                str(tmp_path / "core.o"),
            )


def test_the_driver_sees_a_single_bit(core_objects: list[str], tmp_path: Path) -> None:
    """On this machine: right results pass with every table there is, one wrong bit in the last trial does not."""
    command = [str(tmp_path / "run_trials")]
    run("gcc", "-std=c99", "-O1", f"-I{NATIVE}", str(DRIVER), *core_objects, "-o", *command)
    trials = trials_of([biases_that_use_the_whole_accumulator])
    assert_right(command, trials, tmp_path / "trials", available_kernels())
    wrong = trials[-1].outputs[0].copy()
    wrong[-1, -1] ^= 1
    last = replace(trials[-1], outputs=(wrong,))
    done = run_trials(command, [*trials[:-1], last], tmp_path / "trials")
    assert done.returncode == 1 and done.stdout.startswith(f"trial {len(trials) - 1}: output 0 is wrong")
