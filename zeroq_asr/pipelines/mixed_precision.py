"""Weight bits for each layer, chosen from the calibration data alone: the least divergence within a budget."""

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
from zeroq_asr.bit_allocation.layer_costs import WeightWidths
from zeroq_asr.bit_allocation.solver import Limit, choose_widths
from zeroq_asr.config import (
    ANALYTIC,
    CORRECTION_UTTERANCES,
    DEVICE,
    MIXED_WIDTHS,
    WIDTH_PROBES,
    Budget,
    QuantizeConfig,
)
from zeroq_asr.errors import ConfigError
from zeroq_asr.passes.correct_biases import measure_means
from zeroq_asr.pipelines.quantize import Batch, Quantized, front, outline_model, quantize_model

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel

OnStep = Callable[[str], None]
Bits = dict[str, int]

_DIGITS = 4
"""Bytes for each node by which a file's header may differ from that of its outline: shifts and offsets are written as
text (on the shipped models less than 1)."""


@dataclass(frozen=True, eq=False)
class WidthTable:
    """What every width costs every layer of one model.

    losses: float64 [layers, widths], divergence of this layer alone at this width, in nats a frame. Of every layer,
    int64 [layers]: weights, macs (for 10 s), act_bits (of the codes it reads).
    """

    layers: tuple[str, ...]
    widths: tuple[int, ...]
    losses: npt.NDArray[np.float64]
    weights: npt.NDArray[np.int64]
    macs: npt.NDArray[np.int64]
    act_bits: npt.NDArray[np.int64]

    @property
    def bytes(self) -> npt.NDArray[np.int64]:
        """Packed bytes of every layer's weights at every width, int64 [layers, widths]."""
        types = [IntType(width, signed=True) for width in self.widths]
        return np.array([[packed_size(int(count), type) for type in types] for count in self.weights])

    @property
    def bops(self) -> npt.NDArray[np.int64]:
        """Bit operations (for 10 s) of every layer at every width, int64 [layers, widths]."""
        costs: npt.NDArray[np.int64] = np.outer(self.macs * self.act_bits, self.widths)
        return costs

    def loss(self, bits: Mapping[str, int]) -> float:
        """The sum of the divergences of single layers, each at its bits."""
        columns = [self.widths.index(bits[layer]) for layer in self.layers]
        return float(self.losses[np.arange(len(columns)), columns].sum())


class Probe:
    """A float model made integer at `config.bits` everywhere, and what other bits would do to its layers.

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
        self.first, stream = front(iter(batches), CORRECTION_UTTERANCES)
        self.base = quantize_model(float_model, stream, source, self.config, provenance, device)
        graph = self.base.graph
        means = measure_means(graph, self.first, device) if "bias-correction" in config.methods else {}
        probes, _ = front(iter(self.first), WIDTH_PROBES)
        self._widths = WeightWidths(graph, self.base.qparams, config, probes, means, self.first, device)

    def measure(self, on_step: OnStep) -> WidthTable:
        """Every layer alone at every width; `on_step` hears of each."""
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
        """Of the layers in `bits` rounded together, in nats a frame."""
        return self._widths.divergence(bits)


@dataclass(frozen=True)
class Mixed:
    """The model, the bits of every layer, the sum of their divergences and the divergence of all together."""

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
    """`quantize_model` with bits for each layer that keep `budget`; no layer gets more than `config.bits`.

    on_step hears of every divergence measured (`count_steps`). Raises ConfigError (a budget that cannot be kept, with
    what can be), and what `quantize_model` raises.
    """
    facts = {**(provenance or {}), "budget": _asked(budget)}
    probe = Probe(float_model, batches, source, config, facts, device)
    check_budget(probe.base.model, budget)
    table = probe.measure(on_step)
    bits = choose(probe.base.model, table, budget)
    made = quantize_model(
        float_model,
        probe.first,
        source,
        with_bits(probe.config, bits),
        facts,
        device,
        probe.base.table,
    )
    return Mixed(made, bits, table.loss(bits), probe.divergence(bits))


def count_steps(float_model: FloatModel, config: QuantizeConfig) -> int:
    """How many steps `quantize_within` will tell of."""
    return sum(node.op in CONVOLUTIONS for node in float_model.graph.nodes) * len(widths_up_to(config.bits))


def widths_up_to(most: int) -> tuple[int, ...]:
    """The widths that a layer may get."""
    return (*(width for width in MIXED_WIDTHS if width < most), most)


def with_bits(config: QuantizeConfig, bits: Mapping[str, int]) -> QuantizeConfig:
    """`config` with these bits for every layer; `config.bits` is the most that one has."""
    layer_bits = tuple(bits.items()) if len(set(bits.values())) > 1 else ()
    return replace(config, bits=max(bits.values()), layer_bits=layer_bits)


def choose(base: IntegerModel, table: WidthTable, budget: Budget) -> Bits:
    """The bits of every layer, of least summed divergence within `budget`. base: the model at one width everywhere.

    The bytes are those of the whole file, header included, to the last one. Raises ConfigError (`check_budget`).
    """
    check_budget(base, budget)
    limits = []
    if budget.gbop is not None:
        limits.append(Limit(table.bops, _whole(budget.gbop * 1e9)))
    if budget.mean_bits is not None:
        costs = np.outer(table.weights, table.widths)
        limits.append(Limit(costs, _whole(budget.mean_bits * int(table.weights.sum()))))
    if budget.megabytes is None:
        return _named(table, choose_widths(table.losses, limits))
    goal, least = _whole(budget.megabytes * 1e6), int(table.bytes.min(axis=1).sum())
    most = goal
    while True:  # (the header depends on the choice a little: each round asks for what the last one had too much)
        choice = choose_widths(table.losses, [*limits, Limit(table.bytes, most)])
        bits = _named(table, choice)
        excess = file_size(base, bits) - goal
        if excess <= 0:
            return bits
        if most <= least:  # (a layer so small that two widths take the same bytes has the larger one)
            return dict.fromkeys(table.layers, min(table.widths))
        most = max(min(most, Limit(table.bytes, most).spent(choice)) - excess, least)


def _whole(cost: float) -> int:
    """Whole units in a budget; 0.500002 MB are 500,002 bytes, though the product of the floats is below that."""
    return math.floor(round(cost, 3))


def _named(table: WidthTable, choice: Sequence[int]) -> Bits:
    return {layer: table.widths[column] for layer, column in zip(table.layers, choice, strict=True)}


def check_budget_early(
    float_model: FloatModel, source: str, config: QuantizeConfig, budget: Budget, provenance: dict[str, Any]
) -> None:
    """Raise ConfigError for a budget that `quantize_within` would refuse, before there is any data: shapes decide.

    provenance: as `quantize_within` would get it (`foreseen_provenance`). A file's size is known to some hundred bytes
    only; within these a budget passes here, and what the message names is enough for sure.
    """
    _require_data(source)
    outline = outline_model(float_model, source, config, {**provenance, "budget": _asked(budget)})
    check_budget(outline, budget, 64 + _DIGITS * len(outline.program.steps))


def _require_data(source: str) -> None:
    if source == ANALYTIC:
        raise ConfigError(f"a budget needs data to measure on, --calibration {ANALYTIC} has none; take synthetic")


def _asked(budget: Budget) -> dict[str, float]:
    return {name: value for name, value in vars(budget).items() if value is not None}


def check_budget(base: IntegerModel, budget: Budget, unsure: int = 0) -> None:
    """Raise ConfigError where no choice keeps `budget`, with the range that can be reached.

    base: the model at the most bits everywhere. unsure: bytes by which its file's size may be wrong. Cheap: nothing is
    measured.
    """
    most = base.bits[0]
    least = min(widths_up_to(most))
    costs: dict[str, tuple[float | None, str, Callable[[int], float]]] = {
        "--budget-mb": (budget.megabytes, "MB", lambda width: file_size(base, _everywhere(base, width)) / 1e6),
        "--budget-gbop": (budget.gbop, "GBOP", lambda width: _bops(base, _everywhere(base, width)) / 1e9),
        "--mean-bits": (budget.mean_bits, "bits", float),
    }
    for flag, (asked, unit, cost) in costs.items():
        error = unsure / 1e6 if unit == "MB" else 0.0
        if asked is not None and asked < cost(least) - error:
            low, high = (math.ceil((cost(width) + error) * 1e4) / 1e4 for width in (least, most))
            raise ConfigError(
                f"{flag}: expected at least {low:g} {unit} ({least} bits in every layer; {most} bits are {high:g}), "
                f"got {asked:g}"
            )


def layers_of(model: IntegerModel) -> tuple[str, ...]:
    """The layers of an integer model, by the names they have in the float graph."""
    return tuple(layer_of(step) for step in convolutions_of(model.program))


def convolutions_of(program: Program) -> list[Conv1d | Conv2d]:
    """Return the steps that have weights, in execution order."""
    return [step for step in program.steps if isinstance(step, Conv1d | Conv2d)]


def layer_of(step: Conv1d | Conv2d) -> str:
    """Return the name that an integer layer has in the float graph."""
    return step.layer or step.y


def file_size(base: IntegerModel, bits: Mapping[str, int]) -> int:
    """Bytes of the file of `base` with `bits` for its layers: a file of zeros of the same shapes, not written."""
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
