"""An int8 ONNX file for ONNX Runtime, with ranges that were measured without data.

python examples/onnxruntime_ranges.py my_model.nemo
"""

from __future__ import annotations

import sys

from onnxruntime.quantization import QuantType, quantize_static

from zeroq_asr.export import main as export


def main() -> None:
    for format, output in (("onnx", "model.onnx"), ("onnxruntime", "ranges.json")):
        if export([sys.argv[1], "--format", format, "--output", output]) != 0:
            raise SystemExit(2)
    quantize_static(
        "model.onnx",
        "model-int8.onnx",
        None,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        calibration_cache_path="ranges.json",
    )


if __name__ == "__main__":
    main()
