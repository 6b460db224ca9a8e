"""The Python API: `zeroq_asr.load`, `quantize` and `generate`. Light: torch and NeMo come in where they are needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zeroq_asr.artifact import IntegerModel
from zeroq_asr.config import DEVICE, GENERATE_THREADS, PRESET, SEED, THREADS, GenerateConfig, QuantizeConfig
from zeroq_asr.errors import ConfigError, extras_named
from zeroq_asr.models.open import check_backend, open_model
from zeroq_asr.recognizers import FloatRecognizer, IntegerRecognizer, Recognizer
from zeroq_asr.runtime.transcriber import Backend

if TYPE_CHECKING:
    from synth import SyntheticData
    from zeroq_asr.adapters import FloatModel

__all__ = ["FloatRecognizer", "IntegerRecognizer", "Recognizer", "generate", "load", "quantize"]


@extras_named()
def load(model: Any, *, backend: Backend = "native", threads: int = THREADS) -> FloatRecognizer | IntegerRecognizer:
    """Return a model that is ready to transcribe.

    model: the path of a quantized file or of a .nemo file, judged by content; the name of a shipped model, of a
    published size (random weights), or on NGC or Hugging Face; or a live NeMo CTC model. No code of a file runs.
    backend: how a quantized model computes: "native" (compiled kernels), "reference" (numpy, the same bytes, slow) or
    "float" (the same scales in float64, with torch). A float model always computes in float32, with torch.
    threads: 1 or more; the bytes of an integer model do not depend on it.

    Raises FileError (missing, unreadable, no model), CheckpointError (damaged or hostile), UnsupportedModelError (which
    part), ConfigError (backend, threads), MissingExtraError (a float model without torch, a hub name without NeMo).
    """
    check_backend(backend, threads)
    if isinstance(model, str | Path):
        opened = open_model(str(model))
        if isinstance(opened, IntegerModel):
            return IntegerRecognizer(opened, Path(model).name, backend, threads)
        return FloatRecognizer(opened, threads)
    from zeroq_asr.adapters import FloatModel, from_nemo_object

    if isinstance(model, FloatModel):
        return FloatRecognizer(model, threads)
    if not (hasattr(model, "cfg") and hasattr(model, "state_dict")):
        raise ConfigError(f"model: expected a path, a name or a live NeMo model, got {type(model).__name__}")
    return FloatRecognizer(from_nemo_object(model), threads)


@extras_named()
def quantize(
    model: Any,
    bits: int = 8,
    *,
    act_bits: int = 8,
    calibration: str = "synthetic",
    preset: str = PRESET,
    seed: int = SEED,
    data: SyntheticData | str | Path | None = None,
    settings: QuantizeConfig | None = None,
    device: str = DEVICE,
    threads: int = THREADS,
) -> IntegerRecognizer:
    """Return the integer form of a float model: what `python -m zeroq_asr.quantize` writes, with the same bytes.

    model: a `FloatRecognizer`, or what `load` takes. bits, act_bits: of weights and activations, 2 to 8.
    calibration: "synthetic" (data that `generate` makes from the model with `preset` and `seed`; takes minutes),
    "random" (noise, a lower bound), "analytic" (no data: ranges from the parameters of normalisations), or a manifest
    of real speech. data: synthetic data made before, as an object or a file. settings: every other choice, whose bits
    are replaced by `bits` and `act_bits`. device: of torch. threads: of the model that is returned.

    Raises what `load` raises; ConfigError (a setting out of its domain, a model that is quantized already), FileError
    (data of another model), QuantizationError (no such integer program exists).
    """
    from zeroq_asr.pipelines.calibration import calibration_data
    from zeroq_asr.pipelines.quantize import quantize_model

    config = replace(settings or QuantizeConfig(), bits=bits, act_bits=act_bits)
    source = _float_model(model)
    if calibration == "synthetic" and data is None:
        data = generate(source, preset, seed=seed, device=device)
    given = Path(data) if isinstance(data, str) else data
    chosen = calibration_data(source, calibration, data=given, seed=seed)
    made = quantize_model(source, chosen.batches, chosen.source, config, chosen.provenance, device)
    return IntegerRecognizer(made.model, source.name, threads=threads)


@extras_named()
def generate(
    model: Any,
    preset: str = PRESET,
    *,
    seed: int = SEED,
    output: str | Path | None = None,
    settings: GenerateConfig | None = None,
    device: str = DEVICE,
    threads: int = GENERATE_THREADS,
) -> SyntheticData:
    """Return synthetic calibration data for a float model, made from the statistics of its BatchNorms alone.

    The result's `batches` hold `mel`, float32 [B, n_mels, T] each, in the units of the model's front end.
    model: a `FloatRecognizer`, or what `load` takes. preset: "fast", or "paper" (Kim et al. 2021, section 3.1).
    output: a file that gets the data, batch after batch; finished data in it that matches is returned as it is.
    settings: in place of the preset, its seed replaced by `seed`. threads: of torch; the last bits depend on it.

    Raises what `load` raises; ConfigError (no such preset), FileError (output), SynthError (a model without
    BatchNorms, a loss that is not finite).
    """
    from zeroq_asr.pipelines import generate as pipeline

    source = _float_model(model)
    config = replace(settings or GenerateConfig.of_preset(preset), seed=seed)
    if output is None:
        return pipeline.synthesize(source, config, device=device, threads=threads)
    return pipeline.generate(source, config, Path(output), resume=True, device=device, threads=threads).data


def _float_model(model: Any) -> FloatModel:
    found = model if isinstance(model, Recognizer) else load(model)
    if not isinstance(found, FloatRecognizer):
        raise ConfigError(f"model: expected a float model, got {found.name}, which is quantized already ({found.bits})")
    return found.model
