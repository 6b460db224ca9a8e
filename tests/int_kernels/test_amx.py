"""The table for AMX on any processor with AVX-512 VNNI: its machine code, and that run with a stand-in for tiles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.builds import INCLUDE, NATIVE, has_processor_flags, run
from support.convolution_extremes import EXTREMES, UNITS, biases_that_use_the_whole_accumulator
from support.dense_extremes import DENSE_EXTREMES, many_rows
from support.machine_code import disassemble, instructions, needs_x86, real_arithmetic_in
from support.random_programs import NARROW
from support.trials import Trial, random_trials, run_trials, trials_of

from int_kernels.backends.native.executable import library_path

AVX512 = ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni", "avx512vbmi")
needs_avx512 = pytest.mark.skipif(not has_processor_flags(*AVX512), reason="the loops around the tiles need AVX-512")
DRIVER = Path(__file__).parent / "native" / "run_amx_trials.c"
SOURCES = sorted((NATIVE / "x86/amx").glob("*.c"))


def build_driver(source: Path, target: Path) -> Path:
    """With the installed library, so that the code run is the very one a processor with AMX gets."""
    library = library_path()
    assert library is not None
    flags = ("-std=c99", "-O3", f"-I{NATIVE}", f"-I{DRIVER.parent}", f"-Wl,-rpath,{library.parent}")
    run("gcc", *flags, str(source), str(library), "-o", str(target))
    return target


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_driver(DRIVER, tmp_path_factory.mktemp("amx") / "run_amx_trials")


def done_by_stand_in(driver: Path, trials: list[Trial], path: Path) -> int:
    """Instructions; every trial ran and no byte differs."""
    done = run_trials([str(driver)], trials, path)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    table, count = done.stdout.splitlines()
    assert table == f"amx {len(trials)}"
    return int(count)


@needs_x86
@needs_avx512
def test_convolutions_equal_the_reference_where_vector_code_breaks(driver: Path, tmp_path: Path) -> None:
    trials = trials_of([*EXTREMES, *UNITS, *DENSE_EXTREMES])
    assert len(trials) > 2000 and done_by_stand_in(driver, trials, tmp_path / "trials") > 100_000


@needs_x86
@needs_avx512
def test_random_programs_equal_the_reference(driver: Path, tmp_path: Path) -> None:
    trials = random_trials(150, NARROW, 300, 4)
    assert len(trials) > 200 and done_by_stand_in(driver, trials, tmp_path / "trials") > 10_000


@needs_x86
@needs_avx512
def test_the_driver_sees_a_single_bit(driver: Path, tmp_path: Path) -> None:
    trials = trials_of([biases_that_use_the_whole_accumulator])
    assert done_by_stand_in(driver, trials, tmp_path / "trials") > 20
    wrong = trials[-1].outputs[0].copy()
    wrong[-1, -1] ^= 1
    last = replace(trials[-1], outputs=(wrong,))
    done = run_trials([str(driver)], [*trials[:-1], last], tmp_path / "trials")
    assert done.returncode == 1 and done.stdout.startswith(f"trial {len(trials) - 1}: output 0 is wrong")


@needs_x86
@needs_avx512
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (
            "add_products(reg, rm, prefix >> 1, vvvv, prefix & 1)",
            "add_products(reg, rm, prefix & 1, vvvv, prefix >> 1)",
        ),
        (
            "add_products(reg, rm, prefix >> 1, vvvv, prefix & 1)",
            "add_products(reg, vvvv, prefix & 1, rm, prefix >> 1)",
        ),
        ("memcpy(tiles[sums][m], row,", "row[15] ^= m == 15; memcpy(tiles[sums][m], row,"),
    ],
    ids=["signs", "operands", "one bit"],
)
def test_a_wrong_stand_in_is_seen(tmp_path: Path, right: str, wrong: str) -> None:
    text = DRIVER.read_text()
    assert right in text
    (tmp_path / "wrong.c").write_text(text.replace(right, wrong))
    trials = trials_of([many_rows])
    done = run_trials([str(build_driver(tmp_path / "wrong.c", tmp_path / "wrong"))], trials, tmp_path / "trials")
    assert done.returncode == 1 and "output 0 is wrong with amx" in done.stdout


@needs_x86
def test_the_machine_code_multiplies_tiles_and_lets_go_of_them(tmp_path: Path) -> None:
    used: set[str] = set()
    for source in SOURCES:
        target = tmp_path / f"{source.stem}.o"
        run("gcc", "-std=c99", "-O3", "-pthread", INCLUDE, "-c", str(source), "-o", str(target))
        listing = disassemble(target)
        assert real_arithmetic_in(listing, "x86_64") == {}
        for name, body in instructions(listing).items():
            mnemonics = {text.split(" ")[0] for text in body}
            assert ("ldtilecfg" in mnemonics) == ("tilerelease" in mnemonics), name
            used |= mnemonics
    products = {"tdpbssd", "tdpbsud", "tdpbusd"}
    assert used >= products | {"ldtilecfg", "tilerelease", "tilezero", "tileloadd", "tilestored"}
