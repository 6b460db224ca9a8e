"""Measured ranges as TensorRT's calibration cache, which ModelOpt and ONNX Runtime's TensorRT provider read too.

    TRT-8601-EntropyCalibration2
    encoder.layer: 3d23ac36          S = max(|lo|, |hi|) / 127, a float32 in hexadecimal, most significant byte first

Codes are signed and symmetric there: x ~ S q with q in [-127, 127].
"""

from __future__ import annotations

import math
import struct

from zeroq_asr.config import TENSORRT_VERSION
from zeroq_asr.errors import QuantizationError
from zeroq_asr.quant.ranges import Range, RangeTable


def tensorrt_cache(table: RangeTable, version: str = TENSORRT_VERSION) -> bytes:
    """Return the cache, one line per tensor. Raises QuantizationError: a name or a range that it cannot hold.

    version: the first line's; TensorRT may pass over the cache of another version, ModelOpt and ONNX Runtime do not
    look at it.
    """
    lines = [f"TRT-{version}-EntropyCalibration2"]
    for name, range in table.ranges.items():
        if ":" in name or name != name.strip() or not name.isprintable():
            raise QuantizationError(f"TensorRT cache: tensor {name!r}: expected a name without a colon and line breaks")
        lines.append(f"{name}: {struct.pack('>f', limit_of(name, range) / 127).hex()}")
    return ("\n".join(lines) + "\n").encode()


def limit_of(name: str, range: Range) -> float:
    """Return max(|lo|, |hi|); 1 for a tensor that is always 0, which any scale codes exactly.

    Raises QuantizationError (range not finite).
    """
    if not (math.isfinite(range.lo) and math.isfinite(range.hi)):
        raise QuantizationError(
            f"tensor {name!r}: its measured range [{range.lo}, {range.hi}] is not finite; calibrate on other data"
        )
    return max(abs(range.lo), abs(range.hi)) or 1.0
