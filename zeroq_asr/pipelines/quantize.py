"""Float model and calibration data in, integer model and a report out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from int_kernels import Program
from zeroq_asr import __version__
from zeroq_asr.analyses.roles import CONVOLUTIONS
from zeroq_asr.analyses.sqnr import measure_sqnr
from zeroq_asr.artifact import IntegerModel
from zeroq_asr.calibrate.analytic import analytic_means, analytic_ranges
from zeroq_asr.calibrate.run import calibrate
from zeroq_asr.config import ANALYTIC, CORRECTION_UTTERANCES, DEVICE, SEED, QuantizeConfig
from zeroq_asr.errors import QuantizationError
from zeroq_asr.ir.types import Graph
from zeroq_asr.passes.assign_qparams import assign_qparams
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.passes.correct_biases import correct_biases, measure_means
from zeroq_asr.passes.cross_layer_equalization import equalize
from zeroq_asr.passes.gptq import round_by_moments
from zeroq_asr.passes.lower_to_integer import lower_to_integer
from zeroq_asr.quant.qparams import QuantParams
from zeroq_asr.quant.ranges import RangeTable
from zeroq_asr.quant.weights import RoundedWeights

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel
    from zeroq_asr.runtime.float_executor import FloatExecutor

Batch = npt.NDArray[np.float32]
"""float32 [B, n_mels, T], every row T frames long."""

_SQNR_UTTERANCES = 4
_NOISE_FRAMES = 500


@dataclass(frozen=True)
class Quantized:
    """The integer model, the ranges it was made with, and the SQNR of every stored value in dB.

    graph: the float graph it was lowered from. qparams: the code of every stored value. corrected: the graph with the
    program's biases. rounded: weights that the data rounded, by the values that their convolutions make.
    """

    model: IntegerModel
    table: RangeTable
    sqnr: dict[str, float]
    graph: Graph
    qparams: Mapping[str, QuantParams]
    corrected: Graph
    rounded: Mapping[str, RoundedWeights]


@dataclass(frozen=True)
class _Known:
    """What is known of a model's values: ranges, and a batch to measure the SQNR on; means and the first batches where
    they are asked for."""

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

    source: a word for the data ("synthetic", "random", a manifest), kept in the file with `provenance`. "analytic": no
    data; ranges, and means for bias correction, follow from the parameters, gptq is left away, and the SQNR is that of
    normal noise. ranges: what an earlier call measured on the same data (`Quantized.table`); they do not depend on the
    bits of weights, nothing is measured again. Raises QuantizationError, GraphError, UnsupportedModelError.
    """
    from zeroq_asr.runtime.float_executor import FloatExecutor

    if source == ANALYTIC:
        config = replace(config, methods=tuple(method for method in config.methods if method != "gptq"))
    folded = prepare(float_model.graph)
    _check_layers(folded, config)
    if "equalization" in config.methods:
        folded = equalize(folded)
    executor = FloatExecutor(folded, device)
    if source == ANALYTIC:
        known = _from_parameters(float_model, folded, config)
    else:
        known = _from_data(executor, batches, source, config, ranges)
    qparams = assign_qparams(folded, known.table, config)
    correcting = "bias-correction" in config.methods
    rounded = round_by_moments(folded, qparams, config, known.first, device) if known.first else {}
    corrected = correct_biases(folded, qparams, config, known.means, rounded) if correcting else folded
    program = lower_to_integer(corrected, qparams, config, rounded)
    model = _integer_model(float_model, program, qparams, source, config, provenance)
    sqnr = measure_sqnr(executor, program, qparams, known.probe)
    return Quantized(model, known.table, sqnr, folded, qparams, corrected, rounded)


def outline_model(
    float_model: FloatModel, source: str, config: QuantizeConfig, provenance: dict[str, Any] | None = None
) -> IntegerModel:
    """An integer model with the shapes and types of what `quantize_model` would return, made without data in seconds.

    Its numbers are of no use: ranges follow from the parameters, weights are rounded in the plainest way. Its file is
    as large as the other's but for a few digits in the header. Raises what `quantize_model` raises.
    """
    folded = prepare(float_model.graph)
    plain = replace(config, methods=tuple(method for method in config.methods if method == "channel-scales"))
    qparams = assign_qparams(folded, analytic_ranges(float_model.graph, folded, plain), plain)
    program = lower_to_integer(folded, qparams, plain)
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


def _from_data(
    executor: FloatExecutor, batches: Iterable[Batch], source: str, config: QuantizeConfig, ranges: RangeTable | None
) -> _Known:
    correcting = "bias-correction" in config.methods
    rounding = "gptq" in config.methods
    first, stream = front(iter(batches), CORRECTION_UTTERANCES if correcting or rounding else 1)
    table = ranges if ranges is not None else calibrate(executor, stream, config, source)
    means = measure_means(executor.graph, first, str(executor.device)) if correcting else {}
    return _Known(table, means, first[0][:_SQNR_UTTERANCES], first if rounding else ())


def _from_parameters(model: FloatModel, folded: Graph, config: QuantizeConfig) -> _Known:
    shape = (_SQNR_UTTERANCES, model.frontend.n_mels, _NOISE_FRAMES)
    probe = np.random.default_rng(SEED).standard_normal(shape, dtype=np.float32)
    return _Known(analytic_ranges(model.graph, folded, config), analytic_means(model.graph, folded), probe)


def _check_layers(graph: Graph, config: QuantizeConfig) -> None:
    layers = {node.output for node in graph.nodes if node.op in CONVOLUTIONS}
    if unknown := [name for name, _ in config.layer_bits if name not in layers]:
        raise QuantizationError(f"layer_bits: expected names of layers of this model, got {unknown[0]!r}")


def front(stream: Iterator[Batch], utterances: int) -> tuple[list[Batch], Iterator[Batch]]:
    """Return the first batches of the stream, together at least `utterances` if it has them, and the whole stream."""
    first: list[Batch] = []
    while sum(map(len, first)) < utterances and (batch := next(stream, None)) is not None:
        first.append(batch)
    if not first:
        raise QuantizationError("calibration: expected at least one batch of data, got none")
    return first, chain(first, stream)
