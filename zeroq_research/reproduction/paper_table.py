"""Table 1 as the paper prints it, beside the cost of the same models by our count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eval.cost import packed_bytes, total_macs
from zeroq_asr.analyses.cost import PAPER_FRAMES, count_costs, count_products
from zeroq_research.progress import OnStep
from zeroq_research.report.table import ReportTable
from zeroq_research.result_cache import Json, ResultCache, source_digest

_SOURCES = (
    "eval/cost.py",
    "zeroq_asr/adapters",
    "zeroq_asr/analyses",
    "zeroq_asr/ir",
    "zeroq_research/reproduction/paper_table.py",
    "zeroq_asr/models/full_size.py",
    "zeroq_asr/models/published.py",
)
_BYTES_PER_CHANNEL = 4 + 4 + 1
"""int32 bias, int32 multiplier, int8 shift of every output channel in our files."""
PROBABILITY_BITS = 15
"""Unnormalised probabilities inside our integer attention."""


@dataclass(frozen=True)
class PaperRow:
    """A row of table 1: WER on test-clean and test-other in percent, size in MB, 10^12 bit operations for 10 s."""

    model: str
    size: str
    bits: int
    act_bits: int
    clean: float
    other: float
    megabytes: float
    tera_bops: float


PAPER_ROWS = (
    PaperRow("QuartzNet-15x5", "quartznet15x5", 32, 32, 3.82, 10.08, 73.81, 9.48),
    PaperRow("QuartzNet-15x5", "quartznet15x5", 8, 8, 4.04, 10.37, 73.81 / 4, 0.61),
    PaperRow("QuartzNet-15x5", "quartznet15x5", 6, 8, 4.32, 11.06, 73.81 * 3 / 16, 0.46),
    PaperRow("JasperDR-10x5", "jasper10x5dr", 32, 32, 3.68, 10.49, 1208.0, 171.0),
    PaperRow("JasperDR-10x5", "jasper10x5dr", 8, 8, 3.68, 10.57, 1208.0 / 4, 10.7),
    PaperRow("JasperDR-10x5", "jasper10x5dr", 6, 8, 3.73, 10.68, 1208.0 * 3 / 16, 8.00),
    PaperRow("Conformer-Large", "conformer-large", 32, 32, 2.78, 6.19, 494.8, 44.0),
    PaperRow("Conformer-Large", "conformer-large", 8, 8, 3.06, 7.06, 494.8 / 4, 2.75),
    PaperRow("Conformer-Large", "conformer-large", 6, 8, 4.03, 8.48, 494.8 * 3 / 16, 2.06),
)
"""Kim et al. 2021, table 1. Its quantized sizes are exactly 1/4 and 3/16 of its float sizes. In one place the last row
of each model is headed W8A6; W6A8 is meant."""

NOTES = (
    "MB (10^6 bytes) are ours by this rule: float32 is 4 bytes for each parameter with BatchNorms folded; an integer "
    "model packs its weights without gaps and keeps 9 bytes for each output channel (bias, multiplier, shift). We "
    "know no rule that gives the paper's sizes in MB; its quantized ones are 1/4 and 3/16 of its float ones.",
    f"TBOP: multiply-accumulates of convolutions and linear layers x weight bits x activation bits for {PAPER_FRAMES} "
    "frames, as the paper counts; of attention: the products inside attention, which it does not count. Its QuartzNet "
    "rows are inconsistent: 9.48 / 16 is 0.59, it prints 0.61.",
    "WER: the paper's, on LibriSpeech; ours need the published checkpoints (--librispeech DIR).",
)


def count_full_size(cache: ResultCache, size: str) -> Json:
    """Return the cost of a published size, cached; no weights are kept in memory. Raises ConfigError.

    Keys: weights (of convolutions and linear layers), channels (of their outputs), parameters (all, BatchNorms folded),
    macs (without products inside attention), product_macs (these products), value_macs (the part of product_macs that
    multiplies probabilities and values). MACs are for 10 s.
    """

    def count() -> Json:
        from zeroq_asr.models.full_size import full_size_graph
        from zeroq_asr.passes.fold_batchnorm import fold_batchnorm

        graph = fold_batchnorm(full_size_graph(size))
        costs, products = count_costs(graph), count_products(graph)
        return {
            "weights": sum(cost.weights for cost in costs.values()),
            "channels": sum(cost.out_channels for cost in costs.values()),
            "parameters": sum(array.size for array in graph.constants.values()),
            "macs": total_macs(costs.values()),
            "product_macs": total_macs(products.values()),
            "value_macs": total_macs(cost for name, cost in products.items() if name.endswith(".value")),
        }

    return cache.get("cost", {"size": size, "frames": PAPER_FRAMES, "code": source_digest(_SOURCES)}, count)


def paper_table(cache: ResultCache, on_step: OnStep) -> ReportTable:
    """Return our count of the paper's full-size models beside its own columns; a step is one size."""
    counts = {}
    for size in dict.fromkeys(row.size for row in PAPER_ROWS):
        counts[size] = count_full_size(cache, size)
        on_step(f"cost of {size}")
    records = [_record(row, counts[row.size]) for row in PAPER_ROWS]
    headings = ("model", "bits", "MB ours", "MB paper", "TBOP ours", "of attention", "TBOP paper", "WER clean", "other")
    return ReportTable(
        title="The paper's table 1, and our count of the same models",
        headings=headings,
        rows=tuple(_cells(record) for record in records),
        records=tuple(records),
        left=frozenset({0, 1}),
        notes=NOTES,
    )


def _record(row: PaperRow, count: Json) -> dict[str, Any]:
    if row.bits == 32:
        size = 4 * count["parameters"]
    else:
        size = packed_bytes(count["weights"], row.bits) + _BYTES_PER_CHANNEL * count["channels"]
    return {
        "model": row.model,
        "bits": "float32" if row.bits == 32 else f"W{row.bits}A{row.act_bits}",
        "size_bytes": size,
        "paper_megabytes": row.megabytes,
        "bops": count["macs"] * row.bits * row.act_bits,
        "product_bops": _product_bops(count, row),
        "paper_bops": row.tera_bops * 1e12,
        "paper_wer_clean": row.clean,
        "paper_wer_other": row.other,
    }


def _product_bops(count: Json, row: PaperRow) -> int:
    """Return the bit operations inside attention: q k^T with activations only, then probabilities times values."""
    probability = 32 if row.bits == 32 else PROBABILITY_BITS
    scores = count["product_macs"] - count["value_macs"]
    return int(row.act_bits * (scores * row.act_bits + count["value_macs"] * probability))


def _cells(record: dict[str, Any]) -> tuple[str, ...]:
    return (
        record["model"],
        record["bits"],
        f"{record['size_bytes'] / 1e6:.2f}",
        f"{record['paper_megabytes']:.2f}",
        f"{record['bops'] / 1e12:.3g}",
        f"{record['product_bops'] / 1e12:.3g}" if record["product_bops"] else "",
        f"{record['paper_bops'] / 1e12:.3g}",
        f"{record['paper_wer_clean']:.2f}",
        f"{record['paper_wer_other']:.2f}",
    )
