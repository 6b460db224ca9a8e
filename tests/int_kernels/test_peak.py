from __future__ import annotations

import re
from itertools import count

import pytest
from support.machine_code import disassemble

from int_kernels import KernelError, available_kernels, peak
from int_kernels.backends.native.executable import library_path
from int_kernels.peak import measure_peak

DOT = {
    "amx": "tdpbssd",
    "avx512vnni": "vpdpbusd",
    "avxvnni": "vpdpbusd",
    "avx512vl-vnni": "vpdpbusd",
    "avx2": "vpmaddwd",
    "neon-dotprod": "sdot",
    "neon": "smlal",
}
TWINS = {"avxvnni", "avx512vl-vnni"}  # one instruction in two encodings


@pytest.mark.parametrize("table", available_kernels())
def test_work_is_doubled_until_it_takes_the_time(table: str) -> None:
    clock = count(0, 300).__next__  # every pair of looks lies 300 apart
    short, spent = measure_peak(table, 300, clock)
    assert spent == 300 and short % 1024 == 0
    times = iter([0, 1, 10, 12, 20, 400])  # 1, 2, 380 ns
    assert measure_peak(table, 300, times.__next__) == (4 * short, 380)


def test_each_table_has_a_loop_of_its_own_with_its_instruction() -> None:
    path = library_path()
    assert path is not None
    listing = disassemble(path)
    rates = set()
    for table in available_kernels():
        name = f"zq_{table.replace('-', '_')}_peak"
        bodies = re.findall(rf"<{name}[^>@]*>:\n(.*?)(?:\n\n|\Z)", listing, re.DOTALL)
        assert bodies, name
        if table in DOT:
            at_once = 4 if table == "amx" else 12  # a tile is 16 vectors of sums
            assert len(re.findall(rf"\b{DOT[table]}\b", bodies[0])) >= at_once, name
        rates.add(measure_peak(table, 1, count(0, 5).__next__)[0])
    assert len(rates) == len(
        {"twin" if table in TWINS else table for table in available_kernels()}
    )  # none fell back to another's loop


def test_the_measured_rate_is_that_of_the_processor() -> None:
    best, portable = (measure_peak(table, 2_000_000) for table in (available_kernels()[0], "c"))
    rates = [products / spent for products, spent in (best, portable)]  # GMAC/s
    assert 0.01 < rates[1] <= 1.2 * rates[0] < 10_000
    assert best[1] >= 2_000_000


def test_errors_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KernelError, match="got 'abacus'"):
        measure_peak("abacus")
    monkeypatch.setattr(peak, "library_path", lambda: None)
    with pytest.raises(KernelError, match="nothing is built"):
        measure_peak()
