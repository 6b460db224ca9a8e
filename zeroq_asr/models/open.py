"""Open any model for transcription: a quantized file, a .nemo file, a shipped model or a hub name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from zeroq_asr.artifact import IntegerModel, load_model
from zeroq_asr.config import THREADS
from zeroq_asr.errors import ConfigError, FileError
from zeroq_asr.models.kind import find_model_kind
from zeroq_asr.runtime.transcriber import BACKENDS, Backend, TokenSource, Transcriber, bits_of

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel


def open_transcriber(reference: str, backend: Backend = "native", threads: int = THREADS) -> Transcriber:
    """Return the transcriber of a quantized file, a .nemo file, a shipped model or a hub name; content decides.

    backend: how a quantized file is computed ("float": a float simulation of its scales); a float model is always
    computed in float. Raises ZeroqError.
    """
    check_backend(backend, threads)
    if _is_quantized(reference):
        return open_integer(reference, backend, threads)
    return open_float(reference, threads)


def open_model(reference: str) -> FloatModel | IntegerModel:
    """Return what `reference` names, as `open_transcriber` takes it, ready for other work. Raises ZeroqError."""
    if _is_quantized(reference):
        return load_model(reference)
    from zeroq_asr.models.resolve import load_float_model

    return load_float_model(reference)


def check_backend(backend: str, threads: int) -> None:
    """Raise ConfigError for a backend or a number of threads that there is not."""
    if backend not in BACKENDS:
        raise ConfigError(f"--backend: expected one of {', '.join(BACKENDS)}, got {backend!r}")
    if threads < 1:
        raise ConfigError(f"--threads: expected at least 1, got {threads}")


def _is_quantized(reference: str) -> bool:
    kind = find_model_kind(reference)
    if kind == "synthetic":
        raise FileError(
            f"{reference}: expected a model, this is synthetic data made by `generate`; give it as --data to `quantize`"
        )
    return kind == "quantized"


def open_integer(path: str | Path, backend: Backend = "native", threads: int = THREADS) -> Transcriber:
    """Return the transcriber of a quantized file. It needs torch only for the backend "float". Raises FileError."""
    name, size = Path(path).name, Path(path).stat().st_size
    model = load_model(path)
    if backend != "native":
        return integer_transcriber(model, name, size, backend, threads)
    from zeroq_asr.runtime.integer_executor import IntegerExecutor
    from zeroq_asr.runtime.memory import release_freed_memory

    bits, frontend, vocabulary = bits_of(model), model.frontend, model.vocabulary
    program, input_scale = model.program, model.input_scale
    del model  # only the program holds the weights now, and the executor releases them as it packs
    source = IntegerExecutor.spending(program, input_scale, threads)
    release_freed_memory()
    return Transcriber(name, bits, backend, size, frontend, vocabulary, source)


def integer_transcriber(
    model: IntegerModel, name: str, size_bytes: int, backend: Backend = "native", threads: int = THREADS
) -> Transcriber:
    """Return the transcriber of an integer model in memory."""
    source: TokenSource
    if backend == "float":
        from zeroq_asr.runtime.simulation import SimulatedExecutor

        source = SimulatedExecutor(model)
    else:
        from zeroq_asr.runtime.integer_executor import IntegerExecutor

        source = IntegerExecutor(model, backend=backend, threads=threads)
    return Transcriber(name, bits_of(model), backend, size_bytes, model.frontend, model.vocabulary, source)


def open_float(reference: str, threads: int = THREADS) -> Transcriber:
    """Return the transcriber of a .nemo file, a shipped model or a hub name. Imports torch. Raises ZeroqError."""
    from zeroq_asr.models.resolve import load_float_model

    model = load_float_model(reference)
    path = Path(reference)
    if not path.is_file():
        from zeroq_asr.models.shipped import model_path, shipped_models

        path = model_path(reference) if reference in shipped_models() else path
    size = path.stat().st_size if path.is_file() else sum(array.nbytes for array in model.graph.constants.values())
    return float_transcriber(model, Path(reference).name, size, threads)


def float_transcriber(model: FloatModel, name: str, size_bytes: int, threads: int = THREADS) -> Transcriber:
    """Return the transcriber of a float model in memory. Sets the number of torch threads of this process."""
    from zeroq_asr.runtime.float_tokens import FloatTokens

    source = FloatTokens(model.graph, threads)
    return Transcriber(name, "float32", "float", size_bytes, model.frontend, model.vocabulary, source)
