"""All settings and their defaults: the only place where a default is written down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zeroq_asr.errors import ConfigError

OUTPUT_DIR = Path("zeroq-out")
"""Where results go when no --output is given."""
CELLS_DIR = OUTPUT_DIR / "cells"
"""Finished units of work of `table`, `reproduce` and `analyze`; safe to delete, then they are computed again."""

SEED = 0
THREADS = 2
"""Threads of the integer executor; any number gives the same bytes."""
DEVICE = "cpu"

# ---- generate (GenerateConfig and its presets) --------------------------------------------------------------------

GENERATE_THREADS = 2
"""Threads of torch while synthesising. The last bits depend on it, so it is a setting, not the machine's number."""
SNAPSHOTS = 8
"""Pictures of one batch on its way, start and end included."""

PRESETS = ("fast", "paper")
PRESET = "fast"


@dataclass(frozen=True)
class GenerateConfig:
    """How synthetic data is made; `synth.SynthesisSettings` says what each field means.

    normalize: hold every mel bin at mean 0 and deviation 1, where the model's front end does that to real speech.
    lr, iterations: all pairs are gone through, batch after batch. lengths: frames of batch after batch, in turn, in
    place of `frames`.
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
        """The settings called `name`; raises ConfigError for a name that is none of PRESETS."""
        if name == "paper":
            # Kim et al. 2021, section 3.1; 20 batches over the grid of rates and iterations are 4,500 steps
            return cls(name, "kl", "uniform", 20, 8, 500, (200, 250), (0.03, 0.04, 0.05, 0.06), "constant", False)
        if name == "fast":
            return cls(name, "symmetric-kl", "speech", 4, 8, 500, (30,), (0.05,), "cosine", True)
        raise ConfigError(f"--preset: expected one of {', '.join(PRESETS)}, got {name!r}")


# ---- quantize -----------------------------------------------------------------------------------------------------

RANDOM_BATCHES, RANDOM_SIZE, RANDOM_FRAMES = 20, 8, 500
"""The random baseline has the shape of the paper's synthetic data (section 3.1)."""

Granularity = Literal["per-channel", "per-tensor"]
Activations = Literal["auto", "symmetric"]
Nonlinear = Literal["poly2", "lut"]
NONLINEAR: tuple[Nonlinear, ...] = ("poly2", "lut")
RangeMethod = Literal["minmax", "percentile", "mse", "kl"]
CALIBRATIONS = ("synthetic", "random", "real")
"""Calibration data that the tables compare."""
ANALYTIC = "analytic"
"""In place of calibration data: ranges and means that follow from the parameters of BatchNorms and LayerNorms."""
DETERMINISTIC = ("real", ANALYTIC)
"""Calibrations that no seed changes."""
RANGE_METHODS: tuple[RangeMethod, ...] = ("minmax", "percentile", "mse", "kl")
METHODS = ("equalization", "clipping", "gptq", "squant", "bias-correction", "channel-scales")
"""What may be done against the errors of weights, without data of its own; any of them go together. What gptq rounds,
squant leaves alone. channel-scales is for values: those behind a ReLU that depthwise convolutions alone read."""
DEFAULT_METHODS = ("clipping", "gptq", "bias-correction")
CORRECTION_UTTERANCES = 32
"""Bias correction and gptq look at this many utterances of the calibration data, rounded up to whole batches."""


@dataclass(frozen=True)
class QuantizeConfig:
    """How a float graph becomes an integer program.

    bits: weight bits, 2 to 8. layer_bits: those of single layers where they are others, as (name of the value that the
    convolution makes, bits), each layer once. act_bits: activation bits, 2 to 8. granularity: one weight scale per
    output channel or per tensor. activations: "auto" makes a value unsigned where a ReLU makes it so, unsigned with an
    offset where a swish makes it for linear layers, and gives it one scale per channel between a GLU and a depthwise
    convolution; "symmetric" keeps every value signed with one scale as the paper does. range_method: how a clipping
    range is read off the data: "minmax" (the paper), "percentile" of |x| with `percentile` in (50, 100], "mse" (least
    squared error at `act_bits`), "kl" (least divergence of the histogram, as TensorRT does it); residual streams in 16
    bits and what a swish or GLU makes always take min/max. nonlinear: sigmoid, swish, GLU, ... by second-order
    polynomials on exact accumulators ("poly2", the paper), or by exact tables of pre-activations that are rounded to
    `act_bits` first ("lut"). methods: any of METHODS, in their order, each once.
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
            raise ConfigError(f"--ranges: expected one of {', '.join(RANGE_METHODS)}, got {self.range_method!r}")
        if self.nonlinear not in NONLINEAR:
            raise ConfigError(f"--nonlinear: expected poly2 or lut, got {self.nonlinear!r}")
        if not 50 < self.percentile <= 100:
            raise ConfigError(f"--percentile: expected a number above 50 and at most 100, got {self.percentile!r}")
        if unknown := [method for method in self.methods if method not in METHODS]:
            raise ConfigError(f"--methods: expected some of {', '.join(METHODS)}, got {unknown[0]!r}")
        object.__setattr__(self, "methods", tuple(method for method in METHODS if method in self.methods))
        if wrong := [bits for _, bits in self.layer_bits if not (isinstance(bits, int) and 2 <= bits <= 8)]:
            raise ConfigError(f"layer_bits: expected whole numbers from 2 to 8, got {wrong[0]!r}")
        if len(dict(self.layer_bits)) < len(self.layer_bits):
            raise ConfigError("layer_bits: expected every layer at most once, got one twice")

    def bits_of(self, layer: str) -> int:
        """Weight bits of the convolution that makes the value `layer`."""
        return dict(self.layer_bits).get(layer, self.bits)

    @property
    def widths(self) -> str:
        """ "4", or "2-8" where layers have bits of their own."""
        every = {self.bits, *dict(self.layer_bits).values()}
        return "-".join(map(str, sorted({min(every), max(every)})))

    @property
    def unusual_ranges(self) -> tuple[str, ...]:
        """What names and tables say of the clipping ranges: nothing of the default, else e.g. "percentile 99.9"."""
        words = {name: name for name in RANGE_METHODS} | {"percentile": f"percentile {self.percentile:g}"}
        usual = (QuantizeConfig.range_method, QuantizeConfig.percentile)
        return () if (self.range_method, self.percentile) == usual else (words[self.range_method],)

    @property
    def unusual_methods(self) -> tuple[str, ...]:
        """What names and tables say of the methods: nothing of the default, "plain" where there are none."""
        return () if self.methods == DEFAULT_METHODS else self.methods or ("plain",)


def parse_methods(words: Sequence[str]) -> tuple[str, ...]:
    """What --methods asks for: "none" alone, or some of METHODS. Raises ConfigError."""
    if "none" in words and len(words) > 1:
        raise ConfigError(f"--methods: expected none alone or methods, got {' '.join(words)}")
    return tuple(method for method in METHODS if method in words)


# ---- mixed precision ----------------------------------------------------------------------------------------------

LAYER_BITS = (2, 3, 4, 5, 6, 8)
"""Weight bits that a layer may get. Between 6 and 8 there is next to nothing to win."""
WIDTH_PROBES = 8
"""Utterances of the calibration data on which each layer's divergence is measured, rounded up to whole batches."""
PARETO_BITS = (8, 6, 5, 4, 3)
"""Uniform models of `reproduce pareto`."""
MIXED_BUDGETS = (5, 4, 3)
"""Bits of the uniform models whose bytes and bit operations its mixed models may have."""


@dataclass(frozen=True)
class Budget:
    """What a model with bits for each layer may cost: any of the three, at least one.

    megabytes: of the file, 10^6 bytes. gbop: 10^9 bit operations for 10 s, as `quantize` prints them. mean_bits: over
    all weights.
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
"""Stands in the first line of a TensorRT calibration cache."""

# ---- evaluate -----------------------------------------------------------------------------------------------------

TABLE_BITS = (8, 6, 4)
TABLE_SEEDS = 4
"""The paper averages four runs (section 3.1)."""
ABLATION_BITS = (8, 6)
ABLATION_SEEDS = 1
ABLATION_PERCENTILES = (99.9, 99.99, 99.999)

PROBES = 16
"""Utterances that an analysis of layers runs on."""

# ---- benchmark ----------------------------------------------------------------------------------------------------

BENCHMARK_FRAMES = 1000
"""10 seconds at a hop of 10 ms."""
BENCHMARK_ROUNDS = 15
BENCHMARK_THREADS = (1, 2)
LOW_MEMORY_FLOAT_MB = 256
"""A benchmark that saves memory runs no float32 engine on more weights than this."""
LOW_MEMORY_PERCENT = 2.0
"""Utterances of a manifest that a benchmark which saves memory takes."""
