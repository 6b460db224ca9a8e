"""Weight bits for each layer, chosen on the calibration data: the least divergence within a budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from eval.cost import total_bops
from int_kernels import Conv1d, Conv2d, IntType, Program, packed_size
from zeroq_asr.analyses.cost import count_costs
from zeroq_asr.analyses.roles import CONVOLUTIONS
from zeroq_asr.artifact import IntegerModel, to_bytes
from zeroq_asr.bit_allocation.layer_costs import LayerCosts
from zeroq_asr.bit_allocation.solver import Limit, allocate_bits
from zeroq_asr.config import (
    ANALYTIC,
    CORRECTION_UTTERANCES,
    DEVICE,
    LAYER_BITS,
    WIDTH_PROBES,
    Budget,
    QuantizeConfig,
)
from zeroq_asr.errors import ConfigError
from zeroq_asr.passes.correct_biases import measure_means
from zeroq_asr.pipelines.quantize import Batch, Quantized, dry_run, peek_batches, quantize_model

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel

OnStep = Callable[[str], None]
Bits = dict[str, int]

_DIGITS = 4
"""Bound on the bytes per node by which the headers of a file and of its dry run differ, because shifts and offsets are
written as text (on the shipped models less than 1)."""


@dataclass(frozen=True, eq=False)
class WidthTable:
    """The cost of every bit width for every layer of one model.

    losses: float64 [layers, widths], divergence with this layer alone at this bit width, in nats per frame.
    weights, macs, act_bits: int64 [layers], number of weights, multiply-accumulates for 10 s, bits of the input.
    """

    layers: tuple[str, ...]
    widths: tuple[int, ...]
    losses: npt.NDArray[np.float64]
    weights: npt.NDArray[np.int64]
    macs: npt.NDArray[np.int64]
    act_bits: npt.NDArray[np.int64]

    @property
    def bytes(self) -> npt.NDArray[np.int64]:
        """Packed bytes of the weights of every layer at every bit width, int64 [layers, widths]."""
        types = [IntType(width, signed=True) for width in self.widths]
        return np.array([[packed_size(int(count), type) for type in types] for count in self.weights])

    @property
    def bops(self) -> npt.NDArray[np.int64]:
        """Bit operations (for 10 s) of every layer at every bit width, int64 [layers, widths]."""
        costs: npt.NDArray[np.int64] = np.outer(self.macs * self.act_bits, self.widths)
        return costs

    def loss(self, bits: Mapping[str, int]) -> float:
        """Return the sum of the divergences of single layers, each at its bits."""
        columns = [self.widths.index(bits[layer]) for layer in self.layers]
        return float(self.losses[np.arange(len(columns)), columns].sum())


class Probe:
    """A float model quantized with `config.bits` in all layers, and the effect of other bits on its layers.

    Raises what `quantize_model` raises.
    """

    def __init__(
        self,
        float_model: FloatModel,
        batches: Iterable[Batch],
        source: str,
        config: QuantizeConfig,
        provenance: dict[str, Any] | None = None,
        device: str = DEVICE,
    ) -> None:
        _require_data(source)
        self.config = replace(config, layer_bits=())
        self.first, stream = peek_batches(iter(batches), CORRECTION_UTTERANCES)
        self.base = quantize_model(float_model, stream, source, self.config, provenance, device)
        graph = self.base.graph
        means = measure_means(graph, self.first, device) if "bias-correction" in config.methods else {}
        probes, _ = peek_batches(iter(self.first), WIDTH_PROBES)
        self._widths = LayerCosts(graph, self.base.qparams, config, probes, means, self.first, device)

    def measure(self, on_step: OnStep) -> WidthTable:
        """Measure every layer alone at every bit width; call `on_step` after each."""
        program = self.base.model.program
        costs = count_costs(program)
        of = {layer_of(step): costs[step.y] for step in convolutions_of(program)}
        layers, widths = self._widths.layers, widths_up_to(self.config.bits)
        return WidthTable(
            layers,
            widths,
            self._widths.measure(widths, on_step),
            np.array([of[layer].weights for layer in layers], dtype=np.int64),
            np.array([of[layer].macs for layer in layers], dtype=np.int64),
            np.array([of[layer].activation_bits for layer in layers], dtype=np.int64),
        )

    def divergence(self, bits: Mapping[str, int]) -> float:
        """Return the divergence of the layers in `bits` rounded together, in nats per frame."""
        return self._widths.divergence(bits)


@dataclass(frozen=True)
class Mixed:
    """The model, the bits of every layer, the sum of the single divergences and the divergence of all together."""

    quantized: Quantized
    bits: Mapping[str, int]
    summed: float
    together: float


def quantize_within(
    float_model: FloatModel,
    batches: Iterable[Batch],
    source: str,
    config: QuantizeConfig,
    budget: Budget,
    provenance: dict[str, Any] | None = None,
    device: str = DEVICE,
    on_step: OnStep = lambda _: None,
) -> Mixed:
    """Return `quantize_model` with bits for each layer within `budget`; no layer gets more than `config.bits`.

    on_step is called after every measured divergence, `count_steps` times. Raises ConfigError (a budget out of reach;
    the message has the range that is in reach), and what `quantize_model` raises.
    """
    facts = {**(provenance or {}), "budget": _budget_json(budget)}
    probe = Probe(float_model, batches, source, config, facts, device)
    check_budget(probe.base.model, budget)
    table = probe.measure(on_step)
    bits = choose(probe.base.model, table, budget)
    chosen = with_bits(probe.config, bits)
    made = quantize_model(float_model, probe.first, source, chosen, facts, device, probe.base.table)
    return Mixed(made, bits, table.loss(bits), probe.divergence(bits))


def count_steps(float_model: FloatModel, config: QuantizeConfig) -> int:
    """Return how often `quantize_within` calls `on_step`."""
    return sum(node.op in CONVOLUTIONS for node in float_model.graph.nodes) * len(widths_up_to(config.bits))


def widths_up_to(most: int) -> tuple[int, ...]:
    """Return the bit widths that a layer may get if `most` is the largest."""
    return (*(width for width in LAYER_BITS if width < most), most)


def with_bits(config: QuantizeConfig, bits: Mapping[str, int]) -> QuantizeConfig:
    """Return `config` with these bits for every layer; `config.bits` is the largest of them."""
    layer_bits = tuple(bits.items()) if len(set(bits.values())) > 1 else ()
    return replace(config, bits=max(bits.values()), layer_bits=layer_bits)


def choose(base: IntegerModel, table: WidthTable, budget: Budget) -> Bits:
    """Return the bits of every layer with the least sum of divergences within `budget`.

    base: the model with one bit width in all layers. The size limit holds exactly for the whole file, header included.
    Raises ConfigError (`check_budget`).
    """
    check_budget(base, budget)
    limits = []
    if budget.gbop is not None:
        limits.append(Limit(table.bops, _whole(budget.gbop * 1e9)))
    if budget.mean_bits is not None:
        costs = np.outer(table.weights, table.widths)
        limits.append(Limit(costs, _whole(budget.mean_bits * int(table.weights.sum()))))
    if budget.megabytes is None:
        return _named(table, allocate_bits(table.losses, limits))
    goal, least = _whole(budget.megabytes * 1e6), int(table.bytes.min(axis=1).sum())
    most = goal
    while True:  # the size of the header depends on the choice: each round lowers the limit by the excess of the last
        choice = allocate_bits(table.losses, [*limits, Limit(table.bytes, most)])
        bits = _named(table, choice)
        excess = file_size(base, bits) - goal
        if excess <= 0:
            return bits
        if most <= least:  # the solver gave a larger bit width to a layer so small that its bytes are the same
            return dict.fromkeys(table.layers, min(table.widths))
        most = max(min(most, Limit(table.bytes, most).cost_of(choice)) - excess, least)


def _whole(cost: float) -> int:
    """Return a budget in whole units; 0.500002 MB are 500,002 bytes, although the product of the floats is below."""
    return math.floor(round(cost, 3))


def _named(table: WidthTable, choice: Sequence[int]) -> Bits:
    return {layer: table.widths[column] for layer, column in zip(table.layers, choice, strict=True)}


def check_budget_early(
    float_model: FloatModel, source: str, config: QuantizeConfig, budget: Budget, provenance: dict[str, Any]
) -> None:
    """Raise ConfigError for a budget that `quantize_within` would refuse, from shapes alone, before there is any data.

    provenance: as `quantize_within` would get it (`expected_provenance`). The size of the file is estimated to some
    hundred bytes. A budget within this margin passes here; the least size in the message is always sufficient.
    """
    _require_data(source)
    outline = dry_run(float_model, source, config, {**provenance, "budget": _budget_json(budget)})
    check_budget(outline, budget, 64 + _DIGITS * len(outline.program.steps))


def _require_data(source: str) -> None:
    if source == ANALYTIC:
        raise ConfigError(f"budget: expected calibration data, got --calibration {ANALYTIC}; use synthetic")


def _budget_json(budget: Budget) -> dict[str, float]:
    return {name: value for name, value in vars(budget).items() if value is not None}


def check_budget(base: IntegerModel, budget: Budget, unsure: int = 0) -> None:
    """Raise ConfigError if no choice is within `budget`; the message has the range that is in reach.

    base: the model with the most bits in all layers. unsure: bytes by which its file size may be wrong. Nothing is
    measured.
    """
    most = base.bits[0]
    least = min(widths_up_to(most))
    costs: dict[str, tuple[float | None, str, Callable[[int], float]]] = {
        "--budget-mb": (budget.megabytes, "MB", lambda width: file_size(base, _everywhere(base, width)) / 1e6),
        "--budget-gbop": (budget.gbop, "GBOP", lambda width: _bops(base, _everywhere(base, width)) / 1e9),
        "--mean-bits": (budget.mean_bits, "bits", float),
    }
    for flag, (limit, unit, cost) in costs.items():
        error = unsure / 1e6 if unit == "MB" else 0.0
        if limit is not None and limit < cost(least) - error:
            low, high = (math.ceil((cost(width) + error) * 1e4) / 1e4 for width in (least, most))
            raise ConfigError(
                f"{flag}: expected at least {low:g} {unit} ({least} bits in every layer; {most} bits are {high:g}), "
                f"got {limit:g}"
            )


def layers_of(model: IntegerModel) -> tuple[str, ...]:
    """Return the layers of an integer model by their names in the float graph."""
    return tuple(layer_of(step) for step in convolutions_of(model.program))


def convolutions_of(program: Program) -> list[Conv1d | Conv2d]:
    """Return the steps that have weights, in execution order."""
    return [step for step in program.steps if isinstance(step, Conv1d | Conv2d)]


def layer_of(step: Conv1d | Conv2d) -> str:
    """Return the name that an integer layer has in the float graph."""
    return step.layer or step.y


def file_size(base: IntegerModel, bits: Mapping[str, int]) -> int:
    """Return the file size of `base` with `bits` for its layers, from weights of zero with the same shapes."""
    return len(to_bytes(_blank(base, bits)))


def _bops(base: IntegerModel, bits: Mapping[str, int]) -> int:
    return total_bops(count_costs(_blank(base, bits).program).values())


def _everywhere(base: IntegerModel, width: int) -> Bits:
    return dict.fromkeys(layers_of(base), width)


def _blank(base: IntegerModel, bits: Mapping[str, int]) -> IntegerModel:
    """Return `base` with weights of zero, of these bits for each layer."""
    program = base.program
    steps = [
        replace(step, weight=np.zeros_like(step.weight), weight_bits=bits[layer_of(step)])
        if isinstance(step, Conv1d | Conv2d)
        else step
        for step in program.steps
    ]
    settings = vars(with_bits(QuantizeConfig(**base.provenance["settings"]), bits))
    return replace(
        base,
        program=replace(program, steps=tuple(steps)),
        provenance={**base.provenance, "settings": settings},
    )
