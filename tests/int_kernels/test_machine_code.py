"""What the compiler made of the kernels: no instruction that computes with real numbers, no need of a unit for them."""

from __future__ import annotations

import platform
import re
import shutil
from pathlib import Path

import pytest
from support.builds import CORE, NATIVE, compile_library, object_name, run
from support.machine_code import disassemble, is_real_arithmetic, real_arithmetic_in

from int_kernels import available_kernels
from int_kernels.backends.native.executable import library_path


def test_the_installed_library_has_no_real_arithmetic() -> None:
    path = library_path()
    assert path is not None
    listing = disassemble(path)
    convolutions = ("zq_conv_dense", "zq_conv1d_depthwise", "zq_conv2d_depthwise")
    others = (
        "sum",
        "argmax",
        "multiply",
        "mean",
        "lookup",
        "activation",
        "layer_norm",
        "positions",
        "attention",
        "run",
    )
    for op in (*convolutions, *(f"zq_{op}" for op in others)):
        assert re.search(rf"<{op}[.>]", listing), f"{op} is not in the listing"
    for table in available_kernels():
        for op in ("dense", "depthwise") if table != "c" else ():
            assert f"<zq_{table.replace('-', '_')}_{op}>" in listing, f"{op} for {table} is not in the listing"
    assert len(listing.splitlines()) > 2000
    assert real_arithmetic_in(listing, platform.machine()) == {}


@pytest.mark.parametrize(
    ("body", "caught"),
    [
        ("double f(double a, double b) { return a + b; }", True),
        ("int f(int a) { return (int)(a * 0.3f); }", True),
        ("int f(float a, float b) { return a < b; }", True),
        ("long double f(long double a) { return a * a; }", True),
        ("float f(float *a) { float s = 0; for (int i = 0; i < 64; i++) s += a[i] * a[i]; return s; }", True),
        ("int f(int *a) { int s = 0; for (int i = 0; i < 64; i++) s += a[i] > s ? a[i] : 3; return s; }", False),
        ("float f(float *a) { return a[1]; }", False),
    ],
)
def test_the_scan_can_fail(tmp_path: Path, body: str, caught: bool) -> None:
    source, target = tmp_path / "f.c", tmp_path / "f.o"
    source.write_text(body)
    run("gcc", "-O3", "-c", str(source), "-o", str(target))
    assert bool(real_arithmetic_in(disassemble(target), platform.machine())) == caught


@pytest.mark.parametrize(
    ("mnemonics", "real"),
    [
        (
            "addps vaddpd mulss vdivsd sqrtps vmaxps cmpltsd vucomiss cvtsi2sd vcvtdq2ps fld fmulp vfmadd231ps haddps",
            True,
        ),
        ("vaddph vcmpps roundsd vrndscaleps rcpss vdpbf16ps comisd vcvttps2dq vminsd subsd vdpps vreducepd", True),
        (
            "movss vmovaps movsd vxorps andps vpmaxsd vpminsd vpabsd vpaddd vpmulld vpmuldq vpsraq vpermps vshufps",
            False,
        ),
        ("tdpbf16ps tdpfp16ps tcmmrlfp16ps", True),
        ("tdpbssd tdpbsud tdpbusd tdpbuud tileloadd tilestored tilezero ldtilecfg tilerelease", False),
        (
            "vpcompressd vpdpbusd vbroadcastss vinsertps unpcklps sets cmovs vpmovsxwd vextracti64x4 movlps imul sar",
            False,
        ),
    ],
)
def test_which_instructions_count(mnemonics: str, real: bool) -> None:
    assert {is_real_arithmetic(m, "x86_64") for m in mnemonics.split()} == {real}


def test_which_instructions_of_aarch64_count() -> None:
    real, others = "fadd fmul scvtf ucvtf fcvtzs fcmp fmla fsqrt", "fmov sdot smlal2 sqdmulh srshl ldr smull bfi"
    assert {is_real_arithmetic(m, "aarch64") for m in real.split()} == {True}
    assert {is_real_arithmetic(m, "aarch64") for m in others.split()} == {False}


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="the flag exists on these machines only")
def test_the_core_compiles_for_general_registers_only(tmp_path: Path) -> None:
    """The compiler itself refuses any use of a real number under this flag."""
    flags = ["-std=c99", "-O3", "-Wall", "-Wextra", "-Werror", "-mgeneral-regs-only", f"-I{NATIVE}"]
    for source in CORE:
        run("gcc", *flags, "-c", str(source), "-o", str(tmp_path / "core.o"))
    (tmp_path / "real.c").write_text("int f(int a) { return (int)(a * 0.3); }")
    with pytest.raises(AssertionError):
        run("gcc", *flags, "-c", str(tmp_path / "real.c"), "-o", str(tmp_path / "real.o"))


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="no compiler for microcontrollers here")
@pytest.mark.parametrize("processor", ["cortex-m0", "cortex-m3", "cortex-m55+nofp+nomve"])
def test_the_core_compiles_for_a_microcontroller(tmp_path: Path, processor: str) -> None:
    """Without warnings, and without one call to the library that imitates real numbers."""
    for source in CORE:
        target = tmp_path / f"{object_name(source)}.o"
        flags = [f"-mcpu={processor}", "-mthumb", "-mfloat-abi=soft", "-std=c99", "-O2", "-DZQ_TILE=8"]
        run("arm-none-eabi-gcc", *flags, "-Wall", "-Wextra", "-Werror", "-c", str(source), "-o", str(target))
        needed = re.findall(r" U (\w+)", run("arm-none-eabi-nm", str(target)))
        allowed = re.compile(
            r"zq_\w+|mem(cpy|set|move)|__aeabi_(mem\w+|u?l?div\w*|u?idiv\w*|l(lsl|asr|lsr|mul)|u?ldivmod|u?idivmod)"
        )
        assert [name for name in needed if not allowed.fullmatch(name)] == []


def test_the_sources_compile_without_a_warning(tmp_path: Path) -> None:
    compile_library(
        tmp_path / "strict.so", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"
    )
