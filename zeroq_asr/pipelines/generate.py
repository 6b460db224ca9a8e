"""Synthesis of spectrograms for a float model, with resuming."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from synth import (
    SpectrogramSpec,
    StepRecord,
    SynthesisSettings,
    SyntheticBatch,
    SyntheticData,
    from_bytes,
    to_bytes,
)
from synth.store import MAX_BYTES
from zeroq_asr.config import DEVICE, GENERATE_THREADS, OUTPUT_DIR, GenerateConfig
from zeroq_asr.errors import FileError
from zeroq_asr.files import read_file, write_atomically

if TYPE_CHECKING:
    from torch import Tensor

    from zeroq_asr.adapters import FloatModel
    from zeroq_asr.ir.types import Graph

OnRecord = Callable[[StepRecord], None]


@dataclass(frozen=True)
class Generated:
    """The finished data, its file, and the number of its batches that earlier runs made."""

    data: SyntheticData
    path: Path
    batches_found: int


def synthesis_settings(config: GenerateConfig, model: FloatModel) -> SynthesisSettings:
    """Return the settings for this model; they normalise only if its front end normalises per feature."""
    return SynthesisSettings(
        spec=SpectrogramSpec(config.batch_size, model.frontend.n_mels, config.frames),
        batches=config.batches,
        seed=config.seed,
        loss=config.loss,
        init=config.init,
        lrs=config.lr,
        iterations=config.iterations,
        betas=config.betas,
        schedule=config.schedule,
        normalize=config.normalize and model.frontend.normalize == "per_feature",
        early_stop=config.early_stop,
        patience=config.patience,
        lengths=config.lengths,
        smoothness=config.smoothness,
        diversity=config.diversity,
    )


def default_data_path(model: FloatModel, config: GenerateConfig) -> Path:
    """Return the default file of the data of this model with these settings; other settings give another name."""
    settings = json.dumps(synthesis_settings(config, model).to_json(), sort_keys=True)
    digest = hashlib.sha256(settings.encode()).hexdigest()[:6]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(model.name).stem) or "model"
    made_by = f"{config.preset}-seed{config.seed}-{digest}"
    return OUTPUT_DIR / "synthetic" / f"{name}-{model.fingerprint[:8]}-{made_by}.safetensors"


def generate(
    model: FloatModel,
    config: GenerateConfig,
    output: Path,
    *,
    resume: bool = False,
    device: str = DEVICE,
    threads: int = GENERATE_THREADS,
    on_record: OnRecord | None = None,
) -> Generated:
    """Make the synthetic data of `model` and write it to `output`.

    After every batch the batches so far are written to `output` + ".partial". With `resume` the run continues behind
    them, and the final bytes are those of an uninterrupted run (on a CPU, with the same number of threads); matching
    finished data in `output` is kept. Raises ConfigError, FileError (a partial file with other settings), SynthError.
    """
    settings = synthesis_settings(config, model)
    if output.is_dir():
        raise FileError(f"{output}: expected the name of a file to write, got a folder; give a file name in it")
    partial = output.with_name(output.name + ".partial")
    if resume:
        finished = find_data(model, config, output)
        if finished is not None:
            return Generated(finished, output, len(finished.batches))
    from synth.optimize import run
    from zeroq_asr.analyses.batchnorm_statistics import find_batchnorm_statistics

    names = tuple(norm.name for norm in find_batchnorm_statistics(model.graph))
    batches = _batches_to_resume(partial, settings, model) if resume else ()
    found = len(batches)
    make = batch_maker(model, settings, device, threads)
    # The first write comes before the computation, so that an unwritable folder is an error now.
    write_atomically(partial, to_bytes(SyntheticData(settings, model.fingerprint, names, batches)))
    for number in range(found, settings.batches):
        batches = (*batches, run(make(number), on_record))
        write_atomically(partial, to_bytes(SyntheticData(settings, model.fingerprint, names, batches)))
    data = SyntheticData(settings, model.fingerprint, names, batches)
    write_atomically(output, to_bytes(data))
    partial.unlink(missing_ok=True)
    return Generated(data, output, found)


def synthesize(
    model: FloatModel,
    config: GenerateConfig,
    *,
    device: str = DEVICE,
    threads: int = GENERATE_THREADS,
    on_record: OnRecord | None = None,
) -> SyntheticData:
    """Return the data that `generate` would write, made in memory. Raises SynthError."""
    from synth.optimize import run
    from zeroq_asr.analyses.batchnorm_statistics import find_batchnorm_statistics

    settings = synthesis_settings(config, model)
    names = tuple(norm.name for norm in find_batchnorm_statistics(model.graph))
    make = batch_maker(model, settings, device, threads)
    batches = tuple(run(make(number), on_record) for number in range(settings.batches))
    return SyntheticData(settings, model.fingerprint, names, batches)


def batch_maker(
    model: FloatModel, settings: SynthesisSettings, device: str, threads: int
) -> Callable[[int], Generator[StepRecord, None, SyntheticBatch]]:
    """Return a function that makes batch number k of `settings` for this model step by step (see `synth.optimize`)."""
    from synth.optimize import synthesize_batch
    from zeroq_asr.analyses.batchnorm_statistics import find_attention_results, find_batchnorm_statistics

    batchnorms = find_batchnorm_statistics(model.graph)
    diverse = find_attention_results(model.graph) if settings.diversity > 0 else ()
    forward = statistics_forward(model.graph, tuple(norm.name for norm in batchnorms) + diverse, device, threads)
    return lambda number: synthesize_batch(forward, batchnorms, settings, number, device, diverse)


def find_data(model: FloatModel, config: GenerateConfig, path: Path) -> SyntheticData | None:
    """Return the finished data in `path` if it was made for this model with these settings, else None.

    Raises FileError (not readable), SynthError (damaged).
    """
    data = read_data(path) if path.exists() else None
    matches = data is not None and data.complete and data.matches(synthesis_settings(config, model), model.fingerprint)
    return data if matches else None


def read_data(path: Path) -> SyntheticData:
    """Return the synthetic data in `path`. Raises FileError (missing, unreadable), SynthError (damaged)."""
    return from_bytes(read_file(path, MAX_BYTES), str(path))


def statistics_forward(
    graph: Graph, names: tuple[str, ...], device: str, threads: int
) -> Callable[[Tensor], Mapping[str, Tensor]]:
    """Return a differentiable function mel [B, n_mels, T] -> values of `names`; nothing behind the last is computed."""
    from synth.device import use_device
    from zeroq_asr.runtime.float_executor import FloatExecutor

    use_device(device, threads)
    executor = FloatExecutor(graph, device)
    return lambda mel: executor.run(mel, keep=names, outputs=False)


def _batches_to_resume(partial: Path, settings: SynthesisSettings, model: FloatModel) -> tuple[SyntheticBatch, ...]:
    """Return the batches of an interrupted run with the same settings. Raises FileError for other settings."""
    if not partial.exists():
        return ()
    data = read_data(partial)
    if not data.matches(settings, model.fingerprint):
        raise FileError(
            f"{partial}: expected batches made for this model with these settings, got others; repeat the command of "
            "the interrupted run, or omit --resume to start again"
        )
    return data.batches
