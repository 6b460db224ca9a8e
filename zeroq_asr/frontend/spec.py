"""The settings of the log-mel front end, as a checkpoint states them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

from zeroq_asr.errors import ConfigError
from zeroq_asr.frontend.input_spec import Audio, Features

WINDOWS = ("hann", "hamming", "blackman", "bartlett")
NORMALIZATIONS = ("per_feature", "all_features", "none")
EDGES = ("zeros", "reflect")
GUARDS = ("add", "clamp")
MEL_NORMS = ("slaney", "none")


@dataclass(frozen=True)
class FrontendSpec:
    """Settings of `zeroq_asr.frontend.log_mel.log_mel`, an `InputSpec`; the defaults are QuartzNet's.

    sample_rate_hz: rate of the audio that the model expects. n_mels: mel bins, the channels of the features.
    window_ms, hop_ms: length and step of the analysis window. n_fft: points of the Fourier transform.
    preemphasis: a in x[n] - a * x[n - 1]; 0 switches it off.
    normalize: mean 0 and deviation 1 over time for each bin ("per_feature"), over all bins ("all_features"), or "none".
    guard, log_guard: log(x + g) for "add", log(max(x, g)) for "clamp".
    edge: padding beyond the ends of the audio, which decides the number of frames for N samples. "zeros" is NeMo 2.5
    and later, floor(N / hop) frames; "reflect" is NeMo up to 2.4, floor(N / hop) + 1 frames.
    window: shape of the analysis window, always in its non-periodic form. low_hz, high_hz: range of the mel filters.
    mel_norm: "slaney" (all filters have the same area) or "none". power: exponent of the magnitude.

    Raises ConfigError when a number is out of its domain.
    """

    sample_rate_hz: int = 16000
    n_mels: int = 64
    window_ms: float = 20.0
    hop_ms: float = 10.0
    n_fft: int = 512
    preemphasis: float = 0.97
    normalize: str = "per_feature"
    log_guard: float = 2.0**-24
    edge: str = "zeros"
    window: str = "hann"
    low_hz: float = 0.0
    high_hz: float = 8000.0
    mel_norm: str = "slaney"
    power: float = 2.0
    guard: str = "add"

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_type(field.name, str(field.type), getattr(self, field.name))
        _inside("sample_rate_hz", self.sample_rate_hz, 1000, 384_000)
        _inside("n_mels", self.n_mels, 1, 1024)
        _inside("n_fft", self.n_fft, 8, 65_536)
        _inside("window_ms", self.window_ms, 0, 1000)
        _inside("hop_ms", self.hop_ms, 0, 1000)
        _inside("window_samples", self.window_samples, 2, self.n_fft)
        _inside("hop_samples", self.hop_samples, 1, self.window_samples)
        _inside("preemphasis", self.preemphasis, 0, 1)
        _inside("log_guard", self.log_guard, 1e-45, 1)
        _inside("high_hz", self.high_hz, 0, self.sample_rate_hz / 2)
        _inside("low_hz", self.low_hz, 0, self.high_hz)
        _inside("power", self.power, 0.1, 4)
        _one_of("normalize", self.normalize, NORMALIZATIONS)
        _one_of("edge", self.edge, EDGES)
        _one_of("window", self.window, WINDOWS)
        _one_of("mel_norm", self.mel_norm, MEL_NORMS)
        _one_of("guard", self.guard, GUARDS)

    @property
    def channels(self) -> int:
        """Channels of the features: the mel bins."""
        return self.n_mels

    def features(self, wave: Audio) -> Features:
        """Return the log-mel features float32 [n_mels, T] of a waveform float32 [N]; see `log_mel`."""
        from zeroq_asr.frontend.log_mel import log_mel

        return log_mel(wave, self)

    @property
    def window_samples(self) -> int:
        """Length of the analysis window in samples."""
        return round(self.window_ms * self.sample_rate_hz / 1000)

    @property
    def hop_samples(self) -> int:
        """Samples between the starts of two consecutive frames."""
        return round(self.hop_ms * self.sample_rate_hz / 1000)

    def frames(self, samples: int) -> int:
        """Return the number of frames of N = `samples` samples: floor(N / hop), one more for edge "reflect"."""
        return samples // self.hop_samples + (1 if self.edge == "reflect" else 0)

    def to_json(self) -> dict[str, int | float | str]:
        """Return the fields as a plain dict for JSON."""
        return dict(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, fields: object) -> FrontendSpec:
        """Return the spec that `to_json` wrote. Raises ConfigError: not a dict, a field missing, unknown or wrong."""
        if not isinstance(fields, Mapping):
            raise ConfigError(
                f"frontend: expected an object with the front end's settings, got {type(fields).__name__}"
            )
        names = {field.name for field in dataclasses.fields(cls)}
        if set(fields) != names:
            wrong = sorted(str(name) for name in names.symmetric_difference(fields))
            raise ConfigError(
                f"frontend: expected exactly the fields {sorted(names)}; missing or unknown: {wrong}; "
                "was the file edited?"
            )
        return cls(**fields)


def _check_type(name: str, kind: str, value: object) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {"int": isinstance(value, int) and number, "float": number, "str": isinstance(value, str)}[kind]
    if not fits or (isinstance(value, float) and not math.isfinite(value)):
        raise ConfigError(f"frontend {name}: expected a finite {kind}, got {_short(value)}")


def _inside(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"frontend {name}: expected {low:g} to {high:g}, got {_short(value)}")


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"frontend {name}: expected one of {', '.join(choices)}, got {_short(value)}")


def _short(value: object) -> str:
    # Python refuses to print integers of more than 4300 digits; a hostile file may contain one.
    if isinstance(value, int) and abs(value) > 10**18:
        return "an integer of more than 18 digits"
    return repr(value)[:60]
