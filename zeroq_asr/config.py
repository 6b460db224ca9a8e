"""All settings and their defaults.

Every default that a user can set, and every tuned constant that affects a quantized model or a reported number, is
defined here. Limits of file formats, bounds on memory and exact arithmetic constants are defined beside the code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zeroq_asr.errors import ConfigError

OUTPUT_DIR = Path("zeroq-out")
"""Folder of results when no --output is given."""
CELLS_DIR = OUTPUT_DIR / "cells"
"""Cached results of `table`, `reproduce` and `analyze`. The folder can be deleted; then they are computed again."""

SEED = 0
THREADS = 2
"""Threads of the integer executor. Every number gives the same bytes."""
DEVICE = "cpu"

# ---- generate (GenerateConfig and its presets) --------------------------------------------------------------------

GENERATE_THREADS = 2
"""Threads of torch during synthesis. The last bits of the result depend on it, so it does not follow the machine."""
SNAPSHOTS = 8
"""Logged pictures of the first batch, including start and end."""

PRESETS = ("fast", "paper")
PRESET = "fast"


@dataclass(frozen=True)
class GenerateConfig:
    """How synthetic data is made; see `synth.SynthesisSettings` for the meaning of the fields.

    normalize: hold every mel bin at mean 0 and deviation 1 if the front end of the model does so with speech.
    lr, iterations: the batches go through all pairs. lengths: frames of consecutive batches, in place of `frames`.
    """

    preset: str
    loss: str
    init: str
    batches: int
    batch_size: int
    frames: int
    iterations: tuple[int, ...]
    lr: tuple[float, ...]
    schedule: str
    normalize: bool
    betas: tuple[float, float] = (0.9, 0.999)
    early_stop: float = 0.0
    patience: int = 25
    seed: int = SEED
    lengths: tuple[int, ...] = ()
    smoothness: float = 0.0
    diversity: float = 0.0

    @classmethod
    def of_preset(cls, name: str) -> GenerateConfig:
        """Return the settings called `name`, one of PRESETS. Raises ConfigError for another name."""
        if name == "paper":
            # Kim et al. 2021, section 3.1: 20 batches over the grid of rates and iterations, 4,500 steps in all.
            return cls(name, "kl", "uniform", 20, 8, 500, (200, 250), (0.03, 0.04, 0.05, 0.06), "constant", False)
        if name == "fast":
            return cls(name, "symmetric-kl", "speech", 4, 8, 500, (30,), (0.05,), "cosine", True)
        raise ConfigError(f"--preset: expected one of {', '.join(PRESETS)}, got {name!r}")


# ---- quantize -----------------------------------------------------------------------------------------------------

RANDOM_BATCHES, RANDOM_SIZE, RANDOM_FRAMES = 20, 8, 500
"""Batches, batch size and frames of the random baseline, as in Kim et al. 2021, section 3.1."""

Granularity = Literal["per-channel", "per-tensor"]
Activations = Literal["auto", "symmetric"]
Nonlinear = Literal["poly2", "lut"]
NONLINEAR: tuple[Nonlinear, ...] = ("poly2", "lut")
RangeMethod = Literal["minmax", "percentile", "mse", "kl"]
CALIBRATIONS = ("synthetic", "random", "real")
"""Kinds of calibration data that the tables compare."""
ANALYTIC = "analytic"
"""Calibration without data: ranges and means follow from the parameters of BatchNorms and LayerNorms."""
ANALYTIC_REACH = 5.0
"""Standard deviations that an analytic range covers on each side; activations have heavier tails than a normal
distribution."""
DETERMINISTIC = ("real", ANALYTIC)
"""Kinds of calibration that do not depend on a seed."""
RANGE_METHODS: tuple[RangeMethod, ...] = ("minmax", "percentile", "mse", "kl")
METHODS = ("equalization", "clipping", "gptq", "squant", "bias-correction", "channel-scales")
"""Methods that reduce the error of quantized weights; they can be combined. squant skips the weights that gptq rounds.
channel-scales applies to activations: those behind a ReLU that only depthwise convolutions read."""
DEFAULT_METHODS = ("clipping", "gptq", "bias-correction")
CORRECTION_UTTERANCES = 32
"""Utterances of the calibration data that bias correction and gptq use, rounded up to whole batches."""
SQNR_UTTERANCES = 4
"""Utterances of the first batch on which the SQNR of every stored value is measured."""
SQNR_NOISE_FRAMES = 500
"""Frames of the normal noise on which the SQNR is measured when there is no calibration data."""
RESIDUAL_HEADROOM = 2.0
"""An int16 residual covers this many times its largest magnitude in the calibration data, because louder speech must
not saturate it."""
MIN_CHANNEL_SCALE = 2.0**-10
"""Smallest scale of an activation channel relative to the largest one. It limits the resolution of channels that were
silent during calibration, because speech may excite them."""
MIN_WEIGHT_SCALE = 2.0**-24
"""Smallest weight scale of an output channel relative to the largest one of the layer. It bounds the bias, which is
divided by the scale, of channels with (almost) zero weights. Weights are exact, unlike measured activation ranges, so
it can be far smaller than MIN_CHANNEL_SCALE."""
WEIGHT_SCALE_RATIOS = tuple(1 - step / 40 for step in range(21))
"""Scales that the method "clipping" tries, relative to max |w| / top: from 1 down to 1/2."""
GPTQ_MAX_BITS = 7
"""gptq rounds layers of at most this many weight bits; with more bits, rounding to nearest loses almost nothing."""
GPTQ_SCALE_RATIOS = tuple(1.2 - step / 20 for step in range(14))
"""Scales that gptq tries, relative to those of the other methods."""
GPTQ_DAMPING = 0.1
"""Added to the diagonal of gptq's second moments, relative to their mean diagonal."""
GPTQ_ROUNDS, GPTQ_SWEEPS = 3, 2
"""Number of alternations between scales and codes in gptq, and of coordinate descent sweeps in each."""


@dataclass(frozen=True)
class QuantizeConfig:
    """How a float graph becomes an integer program.

    bits: weight bits, 2 to 8. layer_bits: exceptions for single layers as (name of the output of the convolution,
    bits), each layer at most once. act_bits: activation bits, 2 to 8. granularity: one weight scale per output channel
    or one per tensor.
    activations: "auto" uses an unsigned type behind a ReLU, an unsigned type with an offset for a swish that linear
    layers read, and one scale per channel between a GLU and a depthwise convolution. "symmetric" uses signed types with
    one scale throughout, as in the paper.
    range_method: how clipping ranges follow from the data: "minmax" (the paper), "percentile" of |x| with `percentile`
    in (50, 100], "mse" (least squared error at `act_bits`), "kl" (least divergence of the histogram, as in TensorRT).
    16-bit residuals and outputs of swish and GLU always use min/max.
    nonlinear: sigmoid, swish, GLU, ... by second-order polynomials of exact accumulators ("poly2", the paper), or by
    exact tables of pre-activations that are first rounded to `act_bits` ("lut").
    methods: any of METHODS, each at most once; they are stored in the order of METHODS.

    Raises ConfigError for a value outside its domain.
    """

    bits: int = 8
    act_bits: int = 8
    granularity: Granularity = "per-channel"
    activations: Activations = "auto"
    range_method: RangeMethod = "percentile"
    percentile: float = 99.99
    nonlinear: Nonlinear = "poly2"
    methods: tuple[str, ...] = DEFAULT_METHODS
    layer_bits: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        for name in ("bits", "act_bits"):
            value = getattr(self, name)
            if not (isinstance(value, int) and 2 <= value <= 8):
                raise ConfigError(f"--{name.replace('_', '-')}: expected a whole number from 2 to 8, got {value!r}")
        if self.granularity not in ("per-channel", "per-tensor"):
            raise ConfigError(f"granularity: expected per-channel or per-tensor, got {self.granularity!r}")
        if self.activations not in ("auto", "symmetric"):
            raise ConfigError(f"--activations: expected auto or symmetric, got {self.activations!r}")
        if self.range_method not in RANGE_METHODS:
            raise ConfigError(f"--observer: expected one of {', '.join(RANGE_METHODS)}, got {self.range_method!r}")
        if self.nonlinear not in NONLINEAR:
            raise ConfigError(f"--nonlinear: expected poly2 or lut, got {self.nonlinear!r}")
        if not 50 < self.percentile <= 100:
            raise ConfigError(f"--percentile: expected a number above 50 and at most 100, got {self.percentile!r}")
        if unknown := [method for method in self.methods if method not in METHODS]:
            raise ConfigError(f"--weight-methods: expected some of {', '.join(METHODS)}, got {unknown[0]!r}")
        object.__setattr__(self, "methods", tuple(method for method in METHODS if method in self.methods))
        if wrong := [bits for _, bits in self.layer_bits if not (isinstance(bits, int) and 2 <= bits <= 8)]:
            raise ConfigError(f"layer_bits: expected whole numbers from 2 to 8, got {wrong[0]!r}")
        if len(dict(self.layer_bits)) < len(self.layer_bits):
            raise ConfigError("layer_bits: expected every layer at most once, got a duplicate")

    def bits_of(self, layer: str) -> int:
        """Return the weight bits of the convolution whose output is `layer`."""
        return dict(self.layer_bits).get(layer, self.bits)

    @property
    def widths(self) -> str:
        """Weight bits as text: "4", or "2-8" if layers differ."""
        every = {self.bits, *dict(self.layer_bits).values()}
        return "-".join(map(str, sorted({min(every), max(every)})))

    @property
    def unusual_ranges(self) -> tuple[str, ...]:
        """The clipping ranges as names and tables show them: empty for the default, else e.g. "percentile 99.9"."""
        words = {name: name for name in RANGE_METHODS} | {"percentile": f"percentile {self.percentile:g}"}
        usual = (QuantizeConfig.range_method, QuantizeConfig.percentile)
        return () if (self.range_method, self.percentile) == usual else (words[self.range_method],)

    @property
    def unusual_methods(self) -> tuple[str, ...]:
        """The methods as names and tables show them: empty for the default, "plain" if there are none."""
        return () if self.methods == DEFAULT_METHODS else self.methods or ("plain",)


def parse_methods(words: Sequence[str]) -> tuple[str, ...]:
    """Return the methods that --weight-methods gives: "none" alone, or some of METHODS. Raises ConfigError."""
    if "none" in words and len(words) > 1:
        raise ConfigError(f"--weight-methods: expected either none or methods, got {' '.join(words)}")
    return tuple(method for method in METHODS if method in words)


# ---- mixed precision ----------------------------------------------------------------------------------------------

LAYER_BITS = (2, 3, 4, 5, 6, 8)
"""Weight bits that a layer may get. 7 bits would gain almost nothing over 6."""
WIDTH_PROBES = 8
"""Utterances of the calibration data on which the divergence of a layer is measured, rounded up to whole batches."""
PARETO_BITS = (8, 6, 5, 4, 3)
"""Weight bits of the uniform models of `reproduce pareto`."""
MIXED_BUDGETS = (5, 4, 3)
"""Weight bits of the uniform models whose bytes and bit operations are the budgets of its mixed models."""


@dataclass(frozen=True)
class Budget:
    """Limits on the cost of a model with bits per layer; at least one of them. Raises ConfigError.

    megabytes: size of the file in 10^6 bytes. gbop: 10^9 bit operations for 10 s of audio, as `quantize` prints them.
    mean_bits: mean bits over all weights.
    """

    megabytes: float | None = None
    gbop: float | None = None
    mean_bits: float | None = None

    def __post_init__(self) -> None:
        flags = {"--budget-mb": self.megabytes, "--budget-gbop": self.gbop, "--mean-bits": self.mean_bits}
        for flag, value in flags.items():
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"{flag}: expected a number above 0, got {value!r}")
        if all(value is None for value in flags.values()):
            raise ConfigError(f"budget: expected at least one of {', '.join(flags)}, got none")


TENSORRT_VERSION = "8601"
"""Version in the first line of a TensorRT calibration cache."""

# ---- evaluate -----------------------------------------------------------------------------------------------------

TABLE_BITS = (8, 6, 4)
TABLE_SEEDS = 4
"""Kim et al. 2021 average four runs (section 3.1)."""
ABLATION_BITS = (8, 6)
ABLATION_SEEDS = 1
ABLATION_PERCENTILES = (99.9, 99.99, 99.999)

PROBES = 16
"""Utterances on which an analysis of layers runs."""

# ---- benchmark ----------------------------------------------------------------------------------------------------

BENCHMARK_FRAMES = 1000
"""10 s at a hop of 10 ms."""
BENCHMARK_ROUNDS = 15
BENCHMARK_THREADS = (1, 2)
LOW_MEMORY_FLOAT_MB = 256
"""With --low-memory no float32 engine runs if the float32 weights are larger than this."""
LOW_MEMORY_PERCENT = 2.0
"""Share of the utterances of a manifest that a benchmark with --low-memory uses."""
