"""Bit allocation for the layers of one model, with cached results.

Cached are the divergence that each bit width of a single layer causes, the best allocation within a budget, and the
divergence of that allocation.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

import numpy as np

from zeroq_asr.config import WIDTH_PROBES, Budget
from zeroq_asr.pipelines.evaluate import TestSet
from zeroq_asr.pipelines.mixed_precision import Probe, WidthTable, choose, count_steps, widths_up_to
from zeroq_research.experiments import ExperimentConfig, ExperimentRunner
from zeroq_research.result_cache import Json, source_digest

_SOURCES = ("zeroq_asr/pipelines/mixed_precision.py",)
"""The sources that decide the bits of layers, besides `result_cache.ARITHMETIC`."""


class BitAllocationSearch:
    """Searches bit allocations with at most the bits of `experiment`; quantizes the model only for missing results.

    test_set: any; no allocation depends on it.
    """

    def __init__(self, runner: ExperimentRunner, experiment: ExperimentConfig, test_set: TestSet) -> None:
        assert experiment.config is not None
        self._runner, self._cache = runner, runner.cache
        self._experiment, self._config = experiment, experiment.config
        self._inputs: Json = {
            **{name: value for name, value in runner.inputs(experiment, test_set).items() if name != "set"},
            "widths": widths_up_to(self._config.bits),
            "probes": WIDTH_PROBES,
            "choice": source_digest(_SOURCES),
            "scipy": version("scipy"),
        }
        self._probe: Probe | None = None
        self._costs: WidthTable | None = None

    def count_steps(self) -> int:
        """Return how often `layer_costs` will call the runner's `on_step`, without the steps of synthesis."""
        is_cached = self._cache.is_valid(self._cache.path("widths", self._inputs))
        return 0 if is_cached else count_steps(self._runner.model, self._config)

    def layer_costs(self) -> WidthTable:
        """Return the divergence and the cost of every layer at every bit width. Raises ZeroqError."""
        if self._costs is None:
            measured = self._cache.get(
                "widths", self._inputs, lambda: _to_json(self._open().measure(self._runner.on_step))
            )
            self._costs = _from_json(measured)
        return self._costs

    def choose(self, budget: Budget) -> dict[str, int]:
        """Return the bits of every layer, in order of execution, within `budget`. Raises ConfigError if none fit."""

        def compute() -> Json:
            return {"bits": choose(self._open().base.model, self.layer_costs(), budget)}

        bits: dict[str, int] = self._cache.get("bits", self._budget_inputs(budget), compute)["bits"]
        return {layer: bits[layer] for layer in self.layer_costs().layers}  # a cached file sorts its keys

    def find(self, budget: Budget) -> dict[str, int] | None:
        """Return the cached result of `choose`, or None if there is none."""
        found = self._cache.find("bits", self._budget_inputs(budget))
        return None if found is None or self.count_steps() else self.choose(budget)

    def describe(self, bits: Mapping[str, int]) -> dict[str, float]:
        """Return facts about an allocation.

        mean_bits: mean over the weights. Divergence of the posteriors on the calibration data in nats per frame:
        `summed` over single rounded layers, and with all layers rounded `together`.
        """
        costs = self.layer_costs()
        measured = self._cache.get(
            "together", {**self._inputs, "bits": dict(bits)}, lambda: {"kl": self._open().divergence(bits)}
        )
        allocation = np.array([bits[layer] for layer in costs.layers])
        mean = float((allocation * costs.weights).sum() / costs.weights.sum())
        return {"mean_bits": mean, "summed": costs.loss(bits), "together": measured["kl"]}

    def close(self) -> None:
        """Release the quantized model, if there is one."""
        self._probe = None

    def _budget_inputs(self, budget: Budget) -> Json:
        return {**self._inputs, "budget": vars(budget)}

    def _open(self) -> Probe:
        from synth.device import use_device

        if self._probe is None:
            runner, experiment = self._runner, self._experiment
            batches, provenance = runner.calibration_data(experiment)
            device = runner.settings.device
            use_device(device, runner.settings.threads)  # synthesis may have set other numbers
            self._probe = Probe(runner.model, batches, experiment.calibration, self._config, provenance, device)
        return self._probe


def _to_json(costs: WidthTable) -> Json:
    arrays: Json = {name: getattr(costs, name).tolist() for name in ("losses", "weights", "macs", "act_bits")}
    return {"layers": list(costs.layers), "widths": list(costs.widths), **arrays}


def _from_json(measured: Json) -> WidthTable:
    integers = {name: np.array(measured[name], dtype=np.int64) for name in ("weights", "macs", "act_bits")}
    losses = np.array(measured["losses"], dtype=np.float64)
    return WidthTable(tuple(measured["layers"]), tuple(measured["widths"]), losses, **integers)
