"""The main table: one float model against its integer programs, calibrated in several ways, over several seeds."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.cost import total_macs
from zeroq_asr.analyses.cost import count_costs
from zeroq_asr.artifact import IntegerModel, save_model
from zeroq_asr.config import QuantizeConfig, RangeMethod
from zeroq_asr.pipeline.calibration import calibration_data
from zeroq_asr.pipeline.evaluate import TestSet, evaluate
from zeroq_asr.pipeline.quantize import quantize_model
from zeroq_asr.report.columns import align
from zeroq_asr.runtime.transcriber import float_transcriber, open_integer

if TYPE_CHECKING:
    from eval.types import EvalReport
    from zeroq_asr.adapters import FloatModel

Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What the table compares. `real`: manifest (or shipped set) that stands for real calibration data."""

    model: str
    bits: tuple[int, ...]
    act_bits: int
    ranges: RangeMethod
    calibrations: tuple[str, ...]
    real: str
    seeds: tuple[int, ...]
    preset: str
    threads: int
    device: str

    @property
    def programs(self) -> list[tuple[str, int, int]]:
        """(calibration, bits, seed) of every program; real speech has no seed."""
        return [
            (calibration, bits, seed)
            for calibration in self.calibrations
            for seed in (self.seeds[:1] if calibration == "real" else self.seeds)
            for bits in self.bits
        ]


def fill_table(
    plan: Plan,
    sets: Sequence[TestSet],
    folder: Path,
    on_program: Callable[[str], None],
    on_block: Callable[[], None],
) -> list[Row]:
    """Quantize and evaluate everything in `plan`; return one row per set, bits and calibration, the float model first.

    The programs are written to `folder` and read back: what is scored is what a user would load. `on_program` hears of
    every finished program.
    """
    from zeroq_asr.adapters import load_float_model

    model = load_float_model(plan.model)
    paths = []
    for calibration, bits, seed in plan.programs:
        path = folder / f"{Path(model.name).stem}-w{bits}a{plan.act_bits}-{calibration}-seed{seed}.safetensors"
        save_model(_quantize(plan, model, calibration, bits, seed), path)
        paths.append(path)
        on_program(f"W{bits}A{plan.act_bits} {calibration}, seed {seed}")
    float_bytes = sum(array.nbytes for array in model.graph.constants.values())
    systems = [float_transcriber(model, model.name, float_bytes, plan.threads)]
    systems += [open_integer(path, threads=plan.threads) for path in paths]
    reports = evaluate(systems, sets, on_block=on_block)
    bops = _bops(model, plan.act_bits)
    return [
        row
        for test_set in sets
        for row in _rows(plan, test_set.name, [r for r in reports if r.manifest == test_set.name], bops)
    ]


def _quantize(plan: Plan, model: FloatModel, calibration: str, bits: int, seed: int) -> IntegerModel:
    source = plan.real if calibration == "real" else calibration
    data = calibration_data(model, source, preset=plan.preset, seed=seed, device=plan.device)
    config = QuantizeConfig(bits=bits, act_bits=plan.act_bits, range_method=plan.ranges)
    return quantize_model(model, data.batches, calibration, config, data.provenance, plan.device).model


def _bops(model: FloatModel, act_bits: int) -> Callable[[int], int]:
    """Return the function weight bits -> bit operations for 10 s; 32 stands for the float model."""
    macs = total_macs(count_costs(model.graph).values())
    return lambda bits: macs * (32 * 32 if bits == 32 else bits * act_bits)


def _rows(plan: Plan, manifest: str, reports: Sequence[EvalReport], bops: Callable[[int], int]) -> list[Row]:
    baseline, quantized = reports[0], reports[1:]
    groups: dict[tuple[int, str], list[EvalReport]] = {}
    for (calibration, bits, _), report in zip(plan.programs, quantized, strict=True):
        groups.setdefault((bits, calibration), []).append(report)
    rows = [_row(manifest, "float32", "-", [baseline], baseline, bops(32))]
    for (bits, calibration), members in sorted(
        groups.items(), key=lambda item: (-item[0][0], plan.calibrations.index(item[0][1]))
    ):
        rows.append(_row(manifest, f"W{bits}A{plan.act_bits}", calibration, members, baseline, bops(bits)))
    return rows


def _row(
    manifest: str, bits: str, calibration: str, members: Sequence[EvalReport], baseline: EvalReport, bops: int
) -> Row:
    rates = [report.scores.wer for report in members]
    pairs = [report.comparison for report in members if report.comparison is not None]
    return {
        "manifest": manifest,
        "bits": bits,
        "calibration": calibration,
        "runs": len(rates),
        "wer": statistics.fmean(rates),
        "wer_min": min(rates),
        "wer_max": max(rates),
        "wer_runs": rates,
        "difference": statistics.fmean(rates) - baseline.scores.wer,
        "decoded_identical": statistics.fmean(pair.identical for pair in pairs) if pairs else 100.0,
        "cer": statistics.fmean(report.scores.cer for report in members),
        "size_bytes": members[0].size_bytes,
        "bops": bops,
    }


def render_table(rows: Sequence[Row]) -> str:
    """Return the rows as text: one block per test set."""
    heading = (
        "set",
        "bits",
        "calibration",
        "runs",
        "WER %",
        "[min, max]",
        "vs float",
        "same text %",
        "CER %",
        "bytes",
        "GBOP (10 s)",
    )
    cells = [
        (
            row["manifest"],
            row["bits"],
            row["calibration"],
            str(row["runs"]),
            f"{row['wer']:.2f}",
            f"[{row['wer_min']:.2f}, {row['wer_max']:.2f}]" if row["runs"] > 1 else "",
            f"{row['difference']:+.2f}",
            f"{row['decoded_identical']:.1f}",
            f"{row['cer']:.2f}",
            f"{row['size_bytes']:,}",
            f"{row['bops'] / 1e9:,.1f}",
        )
        for row in rows
    ]
    return "\n".join(align([heading, *cells], left={0, 1, 2, 5})) + "\n"
