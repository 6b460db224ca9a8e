"""The parts of a reproduction by name, and how many steps they take together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zeroq_research.progress import OnStep
from zeroq_research.report.page import ReportSection
from zeroq_research.reproduction.config import ReproductionConfig
from zeroq_research.reproduction.figure2 import figure2
from zeroq_research.reproduction.figure3 import figure3
from zeroq_research.reproduction.layers import count_layers, layers
from zeroq_research.reproduction.onnxruntime import count_onnxruntime, onnxruntime
from zeroq_research.reproduction.paper_table import PAPER_ROWS
from zeroq_research.reproduction.pareto import count_pareto, pareto
from zeroq_research.reproduction.tables import count_table1, count_table2, table1, table2

PARTS: dict[str, Callable[[ReproductionConfig, OnStep], ReportSection]] = {
    "table1": table1,
    "table2": table2,
    "figure2": figure2,
    "figure3": figure3,
    "layers": layers,
    "pareto": pareto,
    "onnxruntime": onnxruntime,
}
"""Name -> the function that makes the part. Each raises ZeroqError, EvalError."""


def count_steps(config: ReproductionConfig, names: Sequence[str]) -> int:
    """Return the number of steps that these parts still have to do; what two of them share is counted once."""
    steps = len(config.sizes) * config.rounds if "figure2" in names else 0
    steps += count_layers(config) if "layers" in names else 0
    steps += count_pareto(config, shared="table1" in names or "table2" in names) if "pareto" in names else 0
    steps += count_onnxruntime(config, shared="table2" not in names) if "onnxruntime" in names else 0
    if "table2" in names:  # it contains the experiments of table 1
        return steps + count_table2(config) + (len({row.size for row in PAPER_ROWS}) if "table1" in names else 0)
    return steps + (count_table1(config) if "table1" in names else 0)
