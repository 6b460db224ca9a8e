"""The preprocessor of a NeMo config as a FrontendSpec; the tables of the checkpoint must agree with ours."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from zeroq_asr.adapters.nemo.config import PREPROCESSORS, ConfigSection, module_section
from zeroq_asr.errors import CheckpointError, ConfigError, UnsupportedModelError
from zeroq_asr.frontend.log_mel import analysis_window, mel_filters
from zeroq_asr.frontend.spec import FrontendSpec
from zeroq_asr.ir import Array

WINDOW = "preprocessor.featurizer.window"
FILTERS = "preprocessor.featurizer.fb"
TABLE_TOLERANCE = 1e-4
"""Largest difference of a stored window or filter value, relative to the table's largest value."""

_FLOAT32_GUARDS = {"tiny": float(np.finfo(np.float32).tiny), "eps": float(np.finfo(np.float32).eps)}
_NO_NORMALIZATION = (None, False, "NA", "none", "None")


def read_frontend(model: ConfigSection, tensors: Mapping[str, Array], edge: str = "zeros") -> FrontendSpec:
    """Return the front end of the model.

    edge: the padding at the ends of the audio, which depends on the version of NeMo (see FrontendSpec) and is not in
    the checkpoint.
    Raises UnsupportedModelError (a switch that is not supported, tables that do not follow from the settings),
    CheckpointError (an invalid value, a missing table).
    """
    section = module_section(model, "preprocessor", PREPROCESSORS)
    rate = section.integer("sample_rate", 1000, 384_000, 16000)
    window = _samples(section, "n_window_size", "window_size", 0.02, rate)
    hop = _samples(section, "n_window_stride", "window_stride", 0.01, rate)
    n_fft = section.integer("n_fft", 8, 65_536, 0) or 1 << (window - 1).bit_length()
    guard = section.text("log_zero_guard_type", "add")
    try:
        spec = FrontendSpec(
            sample_rate_hz=rate,
            n_mels=section.integer("features", 1, 1024, 64),
            window_ms=1000 * window / rate,
            hop_ms=1000 * hop / rate,
            n_fft=n_fft,
            preemphasis=_preemphasis(section),
            normalize=_normalization(section),
            log_guard=_log_guard(section),
            edge=edge,
            window=section.text("window", "hann"),
            low_hz=section.number("lowfreq", 0, rate / 2, 0.0),
            high_hz=section.number("highfreq", 0, rate / 2, 0.0) or rate / 2,
            mel_norm=_mel_norm(section),
            power=section.number("mag_power", 0.1, 4, 2.0),
            guard=guard,
        )
    except ConfigError as error:
        raise UnsupportedModelError(f"{section.where}: {error}") from error
    _refuse_switches(section)
    _compare(WINDOW, tensors, analysis_window(spec))
    _compare(FILTERS, tensors, mel_filters(spec)[None])
    return spec


def _refuse_switches(section: ConfigSection) -> None:
    section.must_be("log", True, None)
    section.must_be("exact_pad", False, None)
    section.must_be("frame_splicing", 1, None)
    # These affect the padding of batches and the noise in training only, not an utterance at its own length.
    section.ignore("dither", "pad_to", "pad_value", "max_duration", "rng", "use_grads")
    section.ignore("nb_augmentation_prob", "nb_max_freq")
    section.ignore("stft_conv", "stft_exact_pad", "use_torchaudio")
    section.finish()


def _samples(section: ConfigSection, samples_key: str, seconds_key: str, default_s: float, rate: int) -> int:
    if section.has(samples_key):
        if section.has(seconds_key):
            section.fail(samples_key, f"either this or {seconds_key}", "both")
        section.ignore(seconds_key)
        return section.integer(samples_key, 1, rate)
    section.ignore(samples_key)
    # NeMo truncates: int(0.025 * 22050).
    samples = int(section.number(seconds_key, 0.0001, 1.0, default_s) * rate)
    if samples < 1:
        section.fail(seconds_key, "at least one sample", section.raw(seconds_key))
    return samples


def _preemphasis(section: ConfigSection) -> float:
    if section.raw("preemph") is None:
        # NeMo's default applies when the key is missing; an explicit null switches it off.
        return 0.0 if "preemph" in section.written else 0.97
    return section.number("preemph", 0, 1)


def _normalization(section: ConfigSection) -> str:
    if "normalize" not in section.written:
        return "per_feature"
    value = section.raw("normalize")
    if value in ("per_feature", "all_features"):
        return str(value)
    if not isinstance(value, Mapping) and any(value is choice or value == choice for choice in _NO_NORMALIZATION):
        return "none"
    section.refuse("normalize", "per_feature, all_features, NA", value)


def _log_guard(section: ConfigSection) -> float:
    value = section.raw("log_zero_guard_value")
    if isinstance(value, str):
        if value not in _FLOAT32_GUARDS:
            section.fail("log_zero_guard_value", "a number, tiny or eps", value)
        return _FLOAT32_GUARDS[value]
    return section.number("log_zero_guard_value", 1e-45, 1, 2.0**-24)


def _mel_norm(section: ConfigSection) -> str:
    if "mel_norm" not in section.written:
        return "slaney"
    section.must_be("mel_norm", "slaney", None)
    return "slaney" if section.has("mel_norm") else "none"


def _compare(name: str, tensors: Mapping[str, Array], ours: Array) -> None:
    if name not in tensors:
        raise CheckpointError(f"tensor {name!r}: expected the front end's table, got none; save the model with NeMo")
    theirs = tensors[name]
    if theirs.shape != ours.shape:
        raise CheckpointError(f"tensor {name!r}: expected shape {list(ours.shape)}, got {list(theirs.shape)}")
    worst = float(np.abs(np.subtract(theirs, ours, dtype=np.float64)).max() / np.abs(ours).max())
    if worst > TABLE_TOLERANCE:
        raise UnsupportedModelError(
            f"tensor {name!r}: expected the table that follows from the settings, got one that differs by {worst:.1e}"
            " of the largest value; custom front-end tables are not supported"
        )
