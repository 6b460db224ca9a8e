"""Quantization: a float model and calibration data become an integer model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from int_kernels import Program
from zeroq_asr import __version__
from zeroq_asr.analyses.channel_spread import measure_spreads
from zeroq_asr.analyses.roles import CONVOLUTIONS, Role, find_code_values, find_roles
from zeroq_asr.analyses.sqnr import measure_sqnr
from zeroq_asr.artifact import IntegerModel
from zeroq_asr.calibrate.analytic import analytic_means, analytic_ranges, analytic_spreads
from zeroq_asr.calibrate.run import calibrate
from zeroq_asr.config import (
    ANALYTIC,
    CORRECTION_UTTERANCES,
    DEVICE,
    SEED,
    SQNR_NOISE_FRAMES,
    SQNR_UTTERANCES,
    QuantizeConfig,
)
from zeroq_asr.errors import QuantizationError
from zeroq_asr.ir.types import Graph
from zeroq_asr.passes.assign_qparams import assign_qparams
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.passes.correct_biases import correct_biases, measure_means
from zeroq_asr.passes.equalize import Reals, equalize, find_factors
from zeroq_asr.passes.gptq import round_with_gptq
from zeroq_asr.passes.limit_head_bias import limit_head_bias
from zeroq_asr.passes.lower_to_integer import lower_to_integer
from zeroq_asr.quant.qparams import QuantParams
from zeroq_asr.quant.ranges import RangeTable
from zeroq_asr.quant.weights import RoundedWeights

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel
    from zeroq_asr.runtime.float_executor import FloatExecutor

Batch = npt.NDArray[np.float32]
"""float32 [B, n_mels, T], every row T frames long."""


@dataclass(frozen=True)
class Quantized:
    """The result of a quantization.

    model: the integer model. table: the ranges it was made with. sqnr: of every stored value, in dB. graph: the
    prepared float graph. qparams: scale and type of every stored value. corrected: `graph` with the biases of the
    integer model. rounded: weights rounded by gptq, by the outputs of their convolutions.
    """

    model: IntegerModel
    table: RangeTable
    sqnr: dict[str, float]
    graph: Graph
    qparams: Mapping[str, QuantParams]
    corrected: Graph
    rounded: Mapping[str, RoundedWeights]


@dataclass(frozen=True)
class CalibrationResult:
    """What calibration measures: ranges, a batch for the SQNR, and where the methods need them means and batches.

    means: E[x], float64 [C], by value name, for bias correction. first: the first batches, for gptq.
    """

    table: RangeTable
    means: Mapping[str, npt.NDArray[np.float64]]
    probe: Batch
    first: Sequence[Batch] = ()


def quantize_model(
    float_model: FloatModel,
    batches: Iterable[Batch],
    source: str,
    config: QuantizeConfig,
    provenance: dict[str, Any] | None = None,
    device: str = DEVICE,
    ranges: RangeTable | None = None,
) -> Quantized:
    """Turn a float model into an integer program calibrated on `batches`.

    batches: each float32 [B, n_mels, T] without padding. source: name of the data ("synthetic", "random", a manifest),
    stored in the file with `provenance`. With "analytic" no data is used: ranges and the means for bias correction
    follow from the parameters, gptq is skipped, and the SQNR is measured on normal noise. ranges: `Quantized.table` of
    an earlier call with the same data; since ranges do not depend on weight bits, they are not measured again.
    Raises QuantizationError, GraphError, UnsupportedModelError.
    """
    from zeroq_asr.runtime.float_executor import FloatExecutor

    if source == ANALYTIC:
        config = replace(config, methods=tuple(method for method in config.methods if method != "gptq"))
    folded = prepare(float_model.graph)
    _check_layers(folded, config)
    first, stream = ((), iter(())) if source == ANALYTIC else _peek(batches, config)
    folded, factors = _equalize(float_model.graph, folded, config, first, device)
    roles = find_roles(folded, config.nonlinear)
    executor = FloatExecutor(folded, device)
    if source == ANALYTIC:
        calibrated = _from_parameters(float_model, folded, config, roles, factors)
    else:
        calibrated = _from_data(executor, first, stream, source, config, roles=roles, ranges=ranges)
    qparams = assign_qparams(folded, calibrated.table, config, roles=roles)
    limited = limit_head_bias(folded, qparams)
    if limited is not folded:
        folded, executor = limited, FloatExecutor(limited, device)
    correcting = "bias-correction" in config.methods
    rounded = round_with_gptq(folded, qparams, config, calibrated.first, device) if calibrated.first else {}
    corrected = correct_biases(folded, qparams, config, calibrated.means, rounded) if correcting else folded
    program = lower_to_integer(corrected, qparams, config, rounded, roles=roles)  # bias correction keeps the roles
    model = _integer_model(float_model, program, qparams, source, config, provenance)
    sqnr = measure_sqnr(executor, program, qparams, calibrated.probe)
    return Quantized(model, calibrated.table, sqnr, folded, qparams, corrected, rounded)


def dry_run(
    float_model: FloatModel, source: str, config: QuantizeConfig, provenance: dict[str, Any] | None = None
) -> IntegerModel:
    """Return an integer model with the shapes and types that `quantize_model` would give, without data, in seconds.

    Only its size is meaningful: ranges follow from the parameters, and weights are rounded to nearest. The file size
    differs from the final one by a few digits in the header. Raises what `quantize_model` raises.
    """
    folded = prepare(float_model.graph)
    plain = replace(config, methods=tuple(method for method in config.methods if method == "channel-scales"))
    roles = find_roles(folded, plain.nonlinear)
    qparams = assign_qparams(folded, analytic_ranges(float_model.graph, folded, plain, roles=roles), plain, roles=roles)
    program = lower_to_integer(folded, qparams, plain, roles=roles)
    return _integer_model(float_model, program, qparams, source, config, provenance)


def _integer_model(
    float_model: FloatModel,
    program: Program,
    qparams: Mapping[str, QuantParams],
    source: str,
    config: QuantizeConfig,
    provenance: dict[str, Any] | None,
) -> IntegerModel:
    facts = {
        "tool": f"zeroq-asr {__version__}",
        "model": float_model.name,
        "family": float_model.family,
        "fingerprint": float_model.fingerprint,
        "calibration": source,
        "settings": vars(config),
        **(provenance or {}),
    }
    return IntegerModel(program, qparams[program.input].scale, float_model.frontend, float_model.vocabulary, facts)


def _equalize(
    trained: Graph, folded: Graph, config: QuantizeConfig, first: Sequence[Batch], device: str
) -> tuple[Graph, Mapping[str, Reals]]:
    """Return the graph that `config.methods` asks for and its factors, from `first` or, if empty, from parameters."""
    from zeroq_asr.runtime.float_executor import FloatExecutor

    if "equalization" not in config.methods:
        return folded, {}
    spreads = measure_spreads(FloatExecutor(folded, device), first) if first else analytic_spreads(trained, folded)
    factors = find_factors(folded, spreads, find_code_values(folded, config.nonlinear))
    return equalize(folded, factors), factors


def _peek(batches: Iterable[Batch], config: QuantizeConfig) -> tuple[Sequence[Batch], Iterator[Batch]]:
    needs_more = {"equalization", "bias-correction", "gptq"}.intersection(config.methods)
    return peek_batches(iter(batches), CORRECTION_UTTERANCES if needs_more else 1)


def _from_data(
    executor: FloatExecutor,
    first: Sequence[Batch],
    stream: Iterator[Batch],
    source: str,
    config: QuantizeConfig,
    *,
    roles: Mapping[str, Role],
    ranges: RangeTable | None,
) -> CalibrationResult:
    table = ranges if ranges is not None else calibrate(executor, stream, config, source, roles=roles)
    correcting = "bias-correction" in config.methods
    means = measure_means(executor.graph, first, str(executor.device)) if correcting else {}
    return CalibrationResult(table, means, first[0][:SQNR_UTTERANCES], first if "gptq" in config.methods else ())


def _from_parameters(
    model: FloatModel, folded: Graph, config: QuantizeConfig, roles: Mapping[str, Role], factors: Mapping[str, Reals]
) -> CalibrationResult:
    shape = (SQNR_UTTERANCES, model.frontend.channels, SQNR_NOISE_FRAMES)
    probe = np.random.default_rng(SEED).standard_normal(shape, dtype=np.float32)
    table = analytic_ranges(model.graph, folded, config, roles=roles, factors=factors)
    return CalibrationResult(table, analytic_means(model.graph, folded, factors), probe)


def _check_layers(graph: Graph, config: QuantizeConfig) -> None:
    layers = {node.output for node in graph.nodes if node.op in CONVOLUTIONS}
    if unknown := [name for name, _ in config.layer_bits if name not in layers]:
        raise QuantizationError(f"layer_bits: expected names of layers of this model, got {unknown[0]!r}")


def peek_batches(stream: Iterator[Batch], utterances: int) -> tuple[list[Batch], Iterator[Batch]]:
    """Return the first batches of the stream, with at least `utterances` utterances if it has them, and the stream.

    The returned stream starts with the first batches. Raises QuantizationError for an empty stream.
    """
    first: list[Batch] = []
    while sum(map(len, first)) < utterances and (batch := next(stream, None)) is not None:
        first.append(batch)
    if not first:
        raise QuantizationError("calibration: expected at least one batch of data, got none")
    return first, chain(first, stream)
