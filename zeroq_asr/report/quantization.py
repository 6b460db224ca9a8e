"""The report of `quantize`: a JSON document and a text table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.cost import total_bops, total_macs
from int_kernels import Conv1d, Conv2d
from zeroq_asr.analyses.accumulator_bounds import bound_accumulators
from zeroq_asr.analyses.cost import PAPER_FRAMES, count_costs
from zeroq_asr.analyses.integer_only import find_floats
from zeroq_asr.report.text_table import align
from zeroq_asr.runtime.transcriber import bits_of

if TYPE_CHECKING:
    from zeroq_asr.pipelines.quantize import Quantized

Document = dict[str, Any]


def describe_quantized(quantized: Quantized, path: Path, divergences: Mapping[str, float] | None = None) -> Document:
    """Return the summary of a quantization as a JSON document.

    path: the file of the model. divergences: if bits were chosen per layer, the divergence of the posteriors on the
    calibration data that rounding the weights causes, in nats per frame: "summed" over single layers, and "together".
    """
    model = quantized.model
    program = model.program
    costs, bounds = count_costs(program), bound_accumulators(program)
    parameters = sum(cost.weights + cost.out_channels for cost in costs.values())
    size = path.stat().st_size
    return {
        "file": str(path),
        "bytes": size,
        "float32_bytes": 4 * parameters,
        "compression": 4 * parameters / size,
        "calibration": quantized.table.source,
        "weight_bits": model.bits[0],
        "weights": {str(bits): count for bits, count in model.weights.items()},
        "bits": bits_of(model),
        "activation_bits": model.bits[1],
        "frames": PAPER_FRAMES,
        "macs": total_macs(costs.values()),
        "bops": total_bops(costs.values()),
        "float_bops": total_macs(costs.values()) * 32 * 32,
        "largest_accumulator_bits": max(bound.bits for bound in bounds.values()),
        "float_tensors": len(find_floats(program)),
        "layers": _describe_layers(quantized),
        **({"divergences": dict(divergences)} if divergences else {}),
    }


def _describe_layers(quantized: Quantized) -> list[Document]:
    """Return one row for every step: sizes and proved bounds of convolutions, range and SQNR of stored values."""
    program = quantized.model.program
    costs, bounds = count_costs(program), bound_accumulators(program)
    layers = []
    for step in program.steps:
        row: Document = {"value": step.y, "op": step.name}
        if isinstance(step, Conv1d | Conv2d):
            cost, bound = costs[step.y], bounds[step.y]
            row.update(weight=list(step.weight.shape), weight_bits=cost.weight_bits, macs=cost.macs)
            row.update(accumulator_lo=bound.lo, accumulator_hi=bound.hi, accumulator_bits=bound.bits)
        row["type"] = program.spec(step.y).type.name
        if step.y in quantized.table.ranges:
            measured, sqnr = quantized.table.ranges[step.y], quantized.sqnr[step.y]
            row.update(lo=measured.lo, hi=measured.hi, sqnr_db=sqnr if math.isfinite(sqnr) else None)
        layers.append(row)
    return layers


def render_quantized(document: Document) -> str:
    """Return the document as text."""
    heading = ("value", "op", "weight", "bits", "type", "range", "SQNR dB", "MACs (10 s)", "|acc| bits")
    rows = [heading, *(_row(layer) for layer in document["layers"])]
    summary = [
        f"calibration  {document['calibration']}",
        f"bits         {document['bits']}{describe_weight_bits(document['weights'])}",
        f"size         {document['bytes']:,} bytes, float32 {document['float32_bytes']:,}: "
        f"{document['compression']:.2f} times smaller",
        f"cost         {document['macs'] / 1e9:.3f} GMAC, {document['bops'] / 1e12:.5f} TBOP for "
        f"{document['frames']} frames "
        f"(float32: {document['float_bops'] / 1e12:.5f})",
        "proved       no accumulator can leave int32: the largest needs "
        f"{document['largest_accumulator_bits']} of 32 bits",
        f"float        {document['float_tensors']} float tensors",
        *_divergences(document.get("divergences")),
        f"written      {document['file']}",
    ]
    return "\n".join([*align(rows, left={0, 1, 2, 4, 5}), "", *summary]) + "\n"


def _divergences(found: Mapping[str, float] | None) -> list[str]:
    if found is None:
        return []
    return [
        f"rounding     the weights changes the posteriors by KL {found['together']:.3g} nats per frame on the "
        f"calibration data; the sum over single layers, which was minimised, is {found['summed']:.3g}"
    ]


def describe_weight_bits(weights: Mapping[str, int]) -> str:
    """Return e.g. ": 4 bits 75.0 %, 8 bits 25.0 % of the weights"; empty if all weights have the same bits."""
    if len(weights) < 2:
        return ""
    total = sum(weights.values())
    return ": " + ", ".join(f"{bits} bits {100 * n / total:.1f} %" for bits, n in weights.items()) + " of the weights"


def _row(layer: Document) -> tuple[str, ...]:
    measured = f"[{layer['lo']:.4g}, {layer['hi']:.4g}]" if "lo" in layer else ""
    exact = "exact" if "sqnr_db" in layer else ""
    return (
        layer["value"],
        layer["op"],
        "x".join(map(str, layer["weight"])) if "weight" in layer else "",
        str(layer.get("weight_bits", "")),
        layer["type"],
        measured,
        f"{layer['sqnr_db']:.1f}" if layer.get("sqnr_db") is not None else exact,
        f"{layer['macs']:,}" if "macs" in layer else "",
        str(layer.get("accumulator_bits", "")),
    )
