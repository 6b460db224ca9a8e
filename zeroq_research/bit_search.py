"""Bits for the layers of one program, as cells: what every width costs, what fits into a budget, what it diverges."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from zeroq_asr.config import WIDTH_PROBES, Budget
from zeroq_asr.pipelines.mixed_precision import Probe, WidthTable, choose, count_steps, widths_up_to
from zeroq_research.experiments import Bench, BenchSettings, OnStep, Program
from zeroq_research.result_cache import CellStore, Json, code_digest

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel
    from zeroq_asr.pipelines.evaluate import TestSet

_CODE = ("zeroq_asr/pipelines/mixed_precision.py",)
"""What decides over the bits of layers besides the arithmetic of the other cells."""


class Chooser:
    """Chooses among the widths up to `program`'s bits; the model is quantized only where a cell is missing.

    test_set: any; no choice depends on it.
    """

    def __init__(
        self,
        store: CellStore,
        model: FloatModel,
        bench: Bench,
        settings: BenchSettings,
        program: Program,
        test_set: TestSet,
    ) -> None:
        assert program.config is not None
        self._store, self._model, self._bench, self._settings = store, model, bench, settings
        self._program, self._config = program, program.config
        self._inputs: Json = {
            **{name: value for name, value in bench.inputs(program, test_set).items() if name != "set"},
            "widths": widths_up_to(self._config.bits),
            "probes": WIDTH_PROBES,
            "choice": code_digest(_CODE),
            "scipy": version("scipy"),
        }
        self._made: Probe | None = None
        self._table: WidthTable | None = None

    def count_steps(self) -> int:
        """How many steps `table` will tell of."""
        there = self._store.believes(self._store.path("widths", self._inputs))
        return 0 if there else count_steps(self._model, self._config)

    def table(self, on_step: OnStep) -> WidthTable:
        """What every width costs every layer; `on_step` hears of each. Raises ZeroqError."""
        if self._table is None:
            self._table = _from_json(
                self._store.get("widths", self._inputs, lambda: _to_json(self._probe(on_step).measure(on_step)))
            )
        return self._table

    def choose(self, budget: Budget, on_step: OnStep) -> dict[str, int]:
        """The bits of every layer, in order, within `budget`. Raises ConfigError where none fit."""

        def compute() -> Json:
            return {"bits": choose(self._probe(on_step).base.model, self.table(on_step), budget)}

        bits: dict[str, int] = self._store.get("bits", self._asked(budget), compute)["bits"]
        return {layer: bits[layer] for layer in self.table(on_step).layers}  # (a cell sorts its names)

    def find(self, budget: Budget) -> dict[str, int] | None:
        """What `choose` found earlier, if it did."""
        found = self._store.find("bits", self._asked(budget))
        return None if found is None or self.count_steps() else self.choose(budget, lambda _: None)

    def describe(self, bits: Mapping[str, int], on_step: OnStep) -> dict[str, float]:
        """mean_bits over the weights; divergence on the calibration data: summed over the layers, all together."""
        table = self.table(on_step)
        inputs = {**self._inputs, "bits": dict(bits)}
        cell = self._store.get("together", inputs, lambda: {"kl": self._probe(on_step).divergence(bits)})
        widths = np.array([bits[layer] for layer in table.layers])
        mean = float((widths * table.weights).sum() / table.weights.sum())
        return {"mean_bits": mean, "summed": table.loss(bits), "together": cell["kl"]}

    def close(self) -> None:
        """Let go of the model, if it was quantized."""
        self._made = None

    def _asked(self, budget: Budget) -> Json:
        return {**self._inputs, "budget": vars(budget)}

    def _probe(self, on_step: OnStep) -> Probe:
        from synth.device import use_device

        if self._made is None:
            batches, provenance = self._bench.calibration_data(self._program, on_step)
            use_device(self._settings.device, self._settings.threads)  # synthesis may have set other numbers
            given = (self._model, batches, self._program.calibration, self._config, provenance, self._settings.device)
            self._made = Probe(*given)
        return self._made


def _to_json(table: WidthTable) -> Json:
    arrays: Json = {name: getattr(table, name).tolist() for name in ("losses", "weights", "macs", "act_bits")}
    return {"layers": list(table.layers), "widths": list(table.widths), **arrays}


def _from_json(cell: Json) -> WidthTable:
    whole = {name: np.array(cell[name], dtype=np.int64) for name in ("weights", "macs", "act_bits")}
    return WidthTable(tuple(cell["layers"]), tuple(cell["widths"]), np.array(cell["losses"], dtype=np.float64), **whole)
