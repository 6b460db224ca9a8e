"""One model in every engine that can run it here, raced against each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.cost import total_macs
from eval.latency import Contestant, Run, Timing, race, ratio
from zeroq_asr.analyses.cost import count_costs
from zeroq_asr.artifact import load_model, save_model
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.engines import installed_peers, noise
from zeroq_asr.engines.native import native_name, open_native
from zeroq_asr.runtime.model_kind import find_model_kind

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel
    from zeroq_asr.ir.types import Graph

Row = dict[str, Any]
OnStep = Callable[[str], None]

_MB = 1e6


@dataclass(frozen=True)
class Plan:
    """What is measured: a model on `batch` utterances of `frames` frames, `rounds` times for each number of threads.

    core: the only core that may be used, or None.
    """

    model: str
    frames: int
    batch: int
    threads: tuple[int, ...]
    rounds: int
    core: int | None = None


@dataclass(frozen=True)
class Engine:
    """How a contestant is opened (the number of threads is its last argument), and the size of what it loads."""

    name: str
    open: Callable[..., Run]
    arguments: tuple[Any, ...]
    size_bytes: int


def prepare(plan: Plan, folder: Path, on_step: OnStep, peers: bool = True) -> tuple[list[Engine], int]:
    """Write every engine's file into `folder`; return the engines, ours first, and the multiply-accumulates of a run.

    peers: other vendors' engines too, where they are installed. A quantized file has no float weights: only our kernels
    run it. `on_step` hears what is done next. Raises ZeroqError.
    """
    if find_model_kind(plan.model) in ("quantized", "synthetic"):  # load_model says what is wrong with the second
        return [_native(plan, Path(plan.model))], _macs(plan, load_model(plan.model).graph)
    on_step("our int8 form")
    from zeroq_asr.adapters import load_float_model

    model = load_float_model(plan.model)
    macs = _macs(plan, model.graph)
    path = folder / "int8.safetensors"
    _quantize(plan, model, path)
    others = _peers(plan, model, folder, on_step) if peers else []
    return [_native(plan, path), *_torch(plan, model), *others], macs


def run(plan: Plan, engines: Sequence[Engine], macs: int, on_round: Callable[[], None]) -> list[Row]:
    """Race the engines once for each number of threads; return one row per engine and number. Raises LatencyError."""
    rows = []
    for threads in plan.threads:
        contestants = [Contestant(engine.name, engine.open, (*engine.arguments, threads)) for engine in engines]
        timings = race(contestants, plan.rounds, plan.core, on_round)
        rows += [
            _row(engine, timing, timings[0], threads, macs) for engine, timing in zip(engines, timings, strict=True)
        ]
    return rows


def _row(engine: Engine, timing: Timing, ours: Timing, threads: int, macs: int) -> Row:
    median, low, high = ratio(timing, ours)
    return {
        "engine": engine.name,
        "threads": threads,
        "median_ms": timing.median_ms,
        "min_ms": timing.min_ms,
        "ratio": median,
        "ratio_low": low,
        "ratio_high": high,
        "cpu_ms": timing.cpu_ms,
        "gmac_per_s": macs / timing.median_ms / 1e6,
        "cpu_per_wall": timing.cpu_per_wall,
        "rss_mb": timing.peak_bytes / _MB,
        "file_mb": engine.size_bytes / _MB,
        "wall_ms": [1e3 * wall for wall in timing.wall_s],
    }


def _macs(plan: Plan, graph: Graph) -> int:
    return plan.batch * total_macs(count_costs(graph, plan.frames).values())


def _native(plan: Plan, path: Path) -> Engine:
    size = path.stat().st_size
    return Engine(native_name(load_model(path)), open_native, (str(path), plan.batch, plan.frames), size)


def _quantize(plan: Plan, model: FloatModel, path: Path) -> None:
    """Write the W8A8 form, calibrated, like those of the peers, on the noise that is timed."""
    from zeroq_asr.pipeline.quantize import quantize_model

    samples = [noise(plan.batch, model.frontend.n_mels, plan.frames)]
    save_model(quantize_model(model, samples, "random", QuantizeConfig()).model, path)


def _torch(plan: Plan, model: FloatModel) -> list[Engine]:
    from zeroq_asr.engines.torch_float import open_channels_last, open_eager

    size = sum(array.nbytes for array in model.graph.constants.values())
    arguments = (plan.model, plan.batch, plan.frames)
    return [
        Engine("torch-float32", open_eager, arguments, size),
        Engine("torch-float32-2d", open_channels_last, arguments, size),
    ]


def _peers(plan: Plan, model: FloatModel, folder: Path, on_step: OnStep) -> list[Engine]:
    """Write the files of the installed peers, with fixed sizes and folded BatchNorms: their best form."""
    peers = installed_peers()
    if not peers:
        return []
    from zeroq_asr.export import to_onnx
    from zeroq_asr.passes.fold_batchnorm import fold_batchnorm

    source, mel_path = folder / "float32.onnx", folder / "mel.npy"
    source.write_bytes(to_onnx(fold_batchnorm(model.graph), plan.batch, plan.frames))
    mel = noise(plan.batch, model.frontend.n_mels, plan.frames)[:, :, None]
    np.save(mel_path, mel, allow_pickle=False)
    engines = []
    if "onnxruntime" in peers:
        from zeroq_asr.engines.onnx_runtime import open_onnxruntime, quantize_onnx

        on_step("ONNX Runtime's int8 form")
        quantize_onnx(source, folder / "int8.onnx", [mel])
        for name in ("float32", "int8"):
            path = folder / f"{name}.onnx"
            arguments = (str(path), str(mel_path))
            engines.append(Engine(f"onnxruntime-{name}", open_onnxruntime, arguments, path.stat().st_size))
    if "openvino" in peers:
        from zeroq_asr.engines.open_vino import open_openvino, quantize_openvino, save_float

        on_step("OpenVINO's int8 form")
        save_float(source, folder / "float32.xml")
        quantize_openvino(source, folder / "int8.xml", [mel])
        for name in ("float32", "int8"):
            path = folder / f"{name}.xml"
            size = path.stat().st_size + path.with_suffix(".bin").stat().st_size
            engines.append(Engine(f"openvino-{name}", open_openvino, (str(path), str(mel_path)), size))
    return engines
