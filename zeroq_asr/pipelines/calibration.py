"""Sources of calibration data: synthesis, noise, or real speech."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zeroq_asr.config import ANALYTIC, DEVICE, PRESET, RANDOM_BATCHES, RANDOM_FRAMES, RANDOM_SIZE, SEED, GenerateConfig
from zeroq_asr.errors import ConfigError, FileError

if TYPE_CHECKING:
    from synth import SyntheticData
    from zeroq_asr.adapters import FloatModel
    from zeroq_asr.frontend.input_spec import InputSpec
    from zeroq_asr.pipelines.generate import OnRecord
    from zeroq_asr.pipelines.quantize import Batch


@dataclass(frozen=True)
class CalibrationData:
    """Calibration batches, the name of the data, and the provenance that the model file stores."""

    batches: Iterable[Batch]
    source: str
    provenance: dict[str, Any]


def calibration_data(
    model: FloatModel,
    calibration: str,
    *,
    data: Path | SyntheticData | None = None,
    preset: str = PRESET,
    seed: int = SEED,
    device: str = DEVICE,
    on_record: OnRecord | None = None,
) -> CalibrationData:
    """Return the calibration data that --calibration, --data, --preset and --seed select.

    "synthetic": `data`, or the file `data`; if None, the file of an earlier run with these settings, or else new data.
    "random": noise. "analytic": no data; `quantize_model` uses the parameters of the model. Anything else: a manifest,
    or the name of a shipped set. on_record is called after every step of a synthesis.
    Raises ConfigError, FileError and what synthesis raises.
    """
    if data is not None and calibration != "synthetic":
        raise ConfigError(
            f"--data: expected --calibration synthetic, got --calibration {calibration}; remove one of the two options"
        )
    if calibration == ANALYTIC:
        return CalibrationData((), ANALYTIC, {})
    if calibration == "random":
        return CalibrationData(random_batches(model.frontend.channels, seed), "random", {"seed": seed})
    if calibration != "synthetic":
        from zeroq_asr.models.shipped import manifest_path, shipped_sets

        manifest = manifest_path(calibration) if calibration in shipped_sets() else Path(calibration)
        return CalibrationData(real_batches(manifest, model.frontend), calibration, {})
    if data is None:
        found = ensure_synthetic(model, preset, seed, device, on_record)
    else:
        found = read_synthetic(data, model) if isinstance(data, Path) else checked_synthetic(data, model, "data")
    return CalibrationData((batch.mel for batch in found.batches), "synthetic", {"synthesis": found.settings.to_json()})


def expected_provenance(
    model: FloatModel, calibration: str, *, data: Path | None = None, preset: str = PRESET, seed: int = SEED
) -> dict[str, Any]:
    """Return the provenance that `calibration_data` would give for the same arguments, without making the data."""
    from zeroq_asr.pipelines.generate import synthesis_settings

    if calibration != "synthetic":
        return {"seed": seed} if calibration == "random" else {}
    settings = (
        synthesis_settings(replace(GenerateConfig.of_preset(preset), seed=seed), model)
        if data is None
        else read_synthetic(data, model).settings
    )
    return {"synthesis": settings.to_json()}


def ensure_synthetic(
    model: FloatModel, preset: str, seed: int, device: str = DEVICE, on_record: OnRecord | None = None
) -> SyntheticData:
    """Return the synthetic data of this model, preset and seed, from its default file; if missing, make and save it."""
    from zeroq_asr.pipelines.generate import default_data_path, generate

    config = replace(GenerateConfig.of_preset(preset), seed=seed)
    return generate(
        model, config, default_data_path(model, config), resume=True, device=device, on_record=on_record
    ).data


def random_batches(n_mels: int, seed: int) -> Iterator[Batch]:
    """Yield the random baseline of Kim et al. 2021, table 2: 20 batches of 8 utterances of 500 frames, U[-3, 3]."""
    from synth import SpectrogramSpec, random_baseline

    spec = SpectrogramSpec(RANDOM_SIZE, n_mels, RANDOM_FRAMES)
    return (random_baseline(spec, seed, number) for number in range(RANDOM_BATCHES))


def real_batches(manifest: Path, spec: InputSpec) -> Iterator[Batch]:
    """Yield the utterances of a manifest as batches of one, each at its own length. Raises ManifestError, FileError."""
    from eval.manifest import read_manifest
    from zeroq_asr.frontend.features import features_of, read_utterance

    for utterance in read_manifest(manifest):
        yield features_of(read_utterance(utterance, spec.sample_rate_hz), spec, utterance.audio_path)[None]


def read_synthetic(path: Path, model: FloatModel) -> SyntheticData:
    """Return the synthetic data in `path`. Raises FileError if it was made for another model or is not finished."""
    from zeroq_asr.pipelines.generate import read_data

    return checked_synthetic(read_data(path), model, path)


def checked_synthetic(data: SyntheticData, model: FloatModel, where: str | Path) -> SyntheticData:
    """Return `data`, which `where` names. Raises FileError if it was made for another model or is not finished."""
    if data.fingerprint != model.fingerprint:
        raise FileError(
            f"{where}: expected synthetic data made for {model.name!r}, this was made for another model; "
            "run `python -m zeroq_asr.generate` again"
        )
    if not data.complete:
        raise FileError(
            f"{where}: holds {len(data.batches)} of {data.settings.batches} batches; "
            "finish it with `python -m zeroq_asr.generate --resume`"
        )
    return data
