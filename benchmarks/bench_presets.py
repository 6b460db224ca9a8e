"""How near calibration on synthetic data comes to calibration on real speech: one line for each file of `generate`.

    python -m zeroq_asr.generate --preset fast --output fast.safetensors
    python -m zeroq_asr.generate --preset paper --output paper.safetensors
    python benchmarks/bench_presets.py --data fast.safetensors --data paper.safetensors

KL: equation 2 summed over the BatchNorms (the same measure for every file, whatever loss made it). Every stored value
has a clipping bound alpha = max |x|; with r = log2(alpha / alpha on real speech): mean |r|, worst |r|, and how many
values are clipped tighter (r < -1/2) or looser (r > 1/2). Rows for random data and for half of the real speech set the
scale.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from synth.device import use_device
from zeroq_asr.adapters import FloatModel
from zeroq_asr.analyses.batchnorm_statistics import find_batchnorm_statistics
from zeroq_asr.calibrate.run import calibrate
from zeroq_asr.cli import add_common_flags, run
from zeroq_asr.config import GENERATE_THREADS, SEED, QuantizeConfig
from zeroq_asr.models import shipped
from zeroq_asr.models.resolve import load_float_model
from zeroq_asr.passes.fold_batchnorm import fold_batchnorm
from zeroq_asr.pipelines.calibration import random_batches, read_synthetic, real_batches
from zeroq_asr.pipelines.generate import statistics_forward
from zeroq_asr.runtime.float_executor import FloatExecutor

Mel = npt.NDArray[np.float32]


def bounds(executor: FloatExecutor, batches: Iterable[Mel]) -> dict[str, float]:
    """alpha of every stored value over `batches`, by the minimum and the maximum as the paper does."""
    table = calibrate(executor, batches, QuantizeConfig(), "bench")
    return {name: max(abs(found.lo), abs(found.hi)) for name, found in table.ranges.items()}


def kl_to_batchnorms(model: FloatModel, batches: Sequence[Mel], threads: int) -> float:
    """Equation 2 summed over the BatchNorms, averaged over the batches."""
    import torch

    from synth.losses import batch_statistics, kl

    batchnorms = find_batchnorm_statistics(model.graph)
    forward = statistics_forward(model.graph, tuple(norm.name for norm in batchnorms), "cpu", threads)
    total = 0.0
    with torch.no_grad():
        for mel in batches:
            values = forward(torch.tensor(mel))
            for norm in batchnorms:
                remembered = torch.tensor(norm.mean), torch.tensor(norm.var)
                total += float(kl(*batch_statistics(values[norm.name]), *remembered, norm.eps).mean())
    return total / len(batches)


def row(name: str, loss: float, found: Mapping[str, float], real: Mapping[str, float], frames: int) -> str:
    """One line of the table."""
    r = np.array([np.log2(found[value] / real[value]) for value in real])
    tight, loose = int((r < -0.5).sum()), int((r > 0.5).sum())
    return (
        f"{name:32s} {frames:8d} {loss:9.3f} {np.abs(r).mean():9.2f} {np.abs(r).max():9.2f} "
        f"{tight:7d} {loose:7d}   of {r.size}"
    )


def bench(arguments: argparse.Namespace) -> int:
    """Print the table."""
    use_device("cpu", arguments.threads)
    model = load_float_model(arguments.model or shipped.DEFAULT_MODEL)
    executor = FloatExecutor(fold_batchnorm(model.graph))
    source = arguments.speech
    speech = list(
        real_batches(shipped.manifest_path(source) if source in ("clean", "other") else Path(source), model.frontend)
    )
    real = bounds(executor, speech)
    sources: dict[str, list[Mel]] = {
        Path(path).name: [batch.mel for batch in read_synthetic(Path(path), model).batches] for path in arguments.data
    }
    sources["random, U[-3, 3]"] = list(random_batches(model.frontend.n_mels, arguments.seed))
    sources["half of the real speech"] = speech[: len(speech) // 2]
    print(f"{'data':32s} {'frames':>8s} {'KL':>9s} {'mean |r|':>9s} {'worst |r|':>9s} {'tighter':>7s} {'looser':>7s}")
    for name, batches in sources.items():
        frames = sum(mel.shape[0] * mel.shape[2] for mel in batches)
        loss = kl_to_batchnorms(model, batches, arguments.threads)
        print(row(name, loss, bounds(executor, batches), real, frames), flush=True)
    return 0


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_flags(parser, "model", "seed", "threads", seed=SEED, threads=GENERATE_THREADS)
    parser.add_argument("--data", action="append", required=True, metavar="FILE", help="made by generate; repeatable")
    parser.add_argument("--speech", default="clean", metavar="FILE", help="a shipped set or a manifest")
    return run(bench, parser)


if __name__ == "__main__":
    sys.exit(main())
