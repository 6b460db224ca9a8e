from __future__ import annotations

import math
import struct

import pytest

from zeroq_asr.errors import QuantizationError
from zeroq_asr.exporters import tensorrt_cache
from zeroq_asr.quant.ranges import Range, RangeTable


def read_cache(data: bytes) -> dict[str, float]:
    """As the readers do it: the first line is the version, then NAME: HEX, a float32 in network order."""
    first, *lines = data.decode().splitlines()
    assert first.startswith("TRT-") and first.endswith("-EntropyCalibration2")
    pairs = [line.split(": ") for line in lines]
    return {name: struct.unpack("!f", bytes.fromhex(scale))[0] for name, scale in pairs}


def test_the_cache_holds_symmetric_scales() -> None:
    ranges = {"mel": Range(-3.0, 2.0, 9), "encoder.0.relu": Range(0.0, 12.7, 9), "silent": Range(0.0, 0.0, 9)}
    data = tensorrt_cache(RangeTable(ranges, "synthetic"))
    assert data.splitlines()[2] == b"encoder.0.relu: 3dcccccd"  # 0.1 as float32
    scales = read_cache(data)
    expected = {"mel": 3 / 127, "encoder.0.relu": 0.1, "silent": 1 / 127}
    assert scales == {name: pytest.approx(scale) for name, scale in expected.items()}
    assert tensorrt_cache(RangeTable({}, "x"), "101300") == b"TRT-101300-EntropyCalibration2\n"


@pytest.mark.parametrize("name", ["a:b", "a\nb", " a"])
def test_names_that_would_break_a_line_are_refused(name: str) -> None:
    with pytest.raises(QuantizationError, match="without a colon"):
        tensorrt_cache(RangeTable({name: Range(0.0, 1.0, 1)}, "x"))


@pytest.mark.parametrize("hi", [math.nan, math.inf])
def test_ranges_that_are_not_finite_are_refused(hi: float) -> None:
    with pytest.raises(QuantizationError, match=r"'y'.*finite"):
        tensorrt_cache(RangeTable({"y": Range(0.0, hi, 1)}, "x"))
