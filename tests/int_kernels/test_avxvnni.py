"""The table for AVX-VNNI on processors without it: its machine code against its twin's, and run with a stand-in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.builds import INCLUDE, NATIVE, has_processor_flags, run
from support.convolution_extremes import (
    biases_that_use_the_whole_accumulator,
    every_length,
    every_type_in_and_out,
)
from support.machine_code import disassemble, instructions, needs_x86
from support.trials import trials_of, write_trials

TWINS = ("table", "avx512vl_table")
DRIVER = Path(__file__).parent / "native" / "run_vex_trials.c"
EXTREMES = (every_length, biases_that_use_the_whole_accumulator, every_type_in_and_out)


@pytest.fixture(scope="module")
def listings(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    folder, made = tmp_path_factory.mktemp("twins"), []
    for name in TWINS:
        run(
            "gcc",
            "-std=c99",
            "-O3",
            INCLUDE,
            "-c",
            str(NATIVE / f"x86/vnni256/{name}.c"),
            "-o",
            str(folder / f"{name}.o"),
        )
        made.append(disassemble(folder / f"{name}.o"))
    return tuple(made)


@needs_x86
def test_products_have_the_prefix_of_avx_and_nothing_needs_avx512(listings: tuple[str, ...]) -> None:
    vex, evex = listings
    products = [line for line in vex.splitlines() if "vpdpbusd" in line]
    assert len(products) >= 2 * 21 + 4 * 6 + 12  # blocks of 1 to 6 rows, 1 to 3 vectors, the peak
    assert all("{vex} vpdpbusd" in line for line in products)
    assert not re.search(r"%zmm|%[xy]mm(1[6-9]|2\d|3[01])|%k[0-7]", vex)
    assert "vpdpbusd" in evex and "{vex}" not in evex


@needs_x86
def test_both_tables_are_the_same_but_for_the_prefix(listings: tuple[str, ...]) -> None:
    """So what is compared with the reference on a processor with one of them holds for the other."""
    vex, evex = (instructions(text.replace("{vex} ", "")) for text in listings)
    assert {name.replace("avxvnni", "avx512vl_vnni") for name in vex} == set(evex)
    assert {"block_6", "vectors_3", "zq_avxvnni_dense"} <= set(vex)
    for name, body in vex.items():
        assert len(body) > 5 and body == evex[name.replace("avxvnni", "avx512vl_vnni")], name


def test_the_comparison_sees_another_register() -> None:
    one = "\n0000 <f>:\n 0:\tvpaddd %ymm1,%ymm2,%ymm3\n 4:\tjmp 0 <f>\n 6:\tnop\n"
    other = one.replace("ymm3", "ymm4")
    assert instructions(one) == instructions(one.replace("jmp 0", "jmp 9")) != instructions(other)


@needs_x86
@pytest.mark.skipif(not has_processor_flags("avx2"), reason="the loops around the product need AVX2")
def test_the_code_for_avx_runs_and_equals_the_reference(core_objects: list[str], tmp_path: Path) -> None:
    """Where the processor lacks the instruction a handler does what it does, one product after the other."""
    driver, folders = tmp_path / "run_vex_trials", (f"-I{NATIVE}", f"-I{DRIVER.parent}")
    run("gcc", "-std=c99", "-O1", *folders, str(DRIVER), *core_objects, "-o", str(driver))
    trials = trials_of(EXTREMES)
    lines = run(str(driver), str(write_trials(trials, tmp_path / "trials"))).splitlines()
    assert lines[0] == f"avxvnni {len(trials)}" and len(trials) > 100
    assert (int(lines[1]) > 10_000) != has_processor_flags("avx_vnni")
