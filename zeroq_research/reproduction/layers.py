"""Which layers cause the quantization error of the first model, at the fewest bits that the tables have."""

from __future__ import annotations

from dataclasses import replace

from zeroq_asr.models.resolve import load_float_model
from zeroq_research.experiments import ExperimentConfig, ExperimentRunner
from zeroq_research.progress import OnStep
from zeroq_research.report.page import ReportSection, details
from zeroq_research.reproduction.config import ReproductionConfig
from zeroq_research.sensitivity_report import (
    analysis_plots,
    analyze,
    choose_probes,
    count_steps,
    layers_table,
    values_table,
)

_LAYERS_ON_PAGE = 15
"""The page shows the layers with the largest divergence; the files have all."""


def layers(config: ReproductionConfig, on_step: OnStep) -> ReportSection:
    """Return the layers by their divergence, and the ranges and errors of the stored values."""
    model = load_float_model(config.spec.models[0])
    runner = ExperimentRunner(config.cache, model, config.spec.settings, on_step=on_step)
    analysis = analyze(runner, _fewest_bits(config), choose_probes(config.sets[-1]))
    values = values_table(analysis)
    folded = details("Ranges and errors of the stored values", values.to_html())
    body = analysis_plots(analysis) + layers_table(analysis, _LAYERS_ON_PAGE).to_html() + folded
    return ReportSection("Quantization error by layer", body, {"layers": layers_table(analysis), "values": values})


def count_layers(config: ReproductionConfig) -> int:
    """Return the number of steps of `layers`, without synthetic data: the tables generate it."""
    runner = ExperimentRunner(config.cache, load_float_model(config.spec.models[0]), config.spec.settings)
    return count_steps(runner, replace(_fewest_bits(config), calibration="random"))


def _fewest_bits(config: ReproductionConfig) -> ExperimentConfig:
    spec = config.spec
    return ExperimentConfig(replace(spec.config, bits=min(spec.bits)), "synthetic", spec.seeds[0])
