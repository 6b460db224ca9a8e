"""How much memory `quantize`, `evaluate` and `analyze` take, by the number of utterances they are given.

    python benchmarks/bench_memory.py
    python benchmarks/bench_memory.py --what quantize-noise --lengths 5 --utterances 100 1000

Every line is a process of its own: its peak resident memory in MB (10^6 bytes; VmHWM of Linux), whatever libraries it
loads included, and how much of it came after the first 100 utterances (10 blocks of `evaluate`). `noise`: random
spectrograms of 5 to 15 s, 10 s in the mean, made one by one, of --lengths different lengths. `speech`: a manifest that
repeats the shipped sets, read from their audio files.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from zeroq_asr.cli import add_common_flags, run
from zeroq_asr.config import RANGE_METHODS, SEED, QuantizeConfig
from zeroq_asr.models import shipped

Mel = npt.NDArray[np.float32]

WHAT = ("quantize-noise", "quantize-speech", "analyze-speech", "evaluate-speech")
LENGTHS = 1001
WARM = 100
"""Utterances after which memory is looked at for the first time."""


def peak_mb() -> float:
    """Peak resident memory of this process so far, 10^6 bytes."""
    status = Path("/proc/self/status").read_text()
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kilobytes) * 1024 / 1e6


def noise(n_mels: int, count: int, lengths: int, seed: int) -> Iterator[Mel]:
    """`count` batches of one utterance, 5 to 15 s long."""
    rng = np.random.default_rng(seed)
    frames = np.linspace(500, 1500, lengths).astype(int)
    for _ in range(count):
        yield rng.standard_normal((1, n_mels, int(rng.choice(frames))), dtype=np.float32)


def watched(batches: Iterable[Mel], peaks: list[float]) -> Iterator[Mel]:
    """The same batches; the peak behind the first WARM of them is put down."""
    for number, batch in enumerate(batches):
        if number == WARM:
            peaks.append(peak_mb())
        yield batch


def save_manifest(path: Path, count: int) -> None:
    """Write a manifest of `count` lines that repeats the shipped sets, one after the other."""
    from eval.manifest import read_manifest

    every = [u for name in shipped.shipped_sets() for u in read_manifest(shipped.manifest_path(name))]
    lines = (every[number % len(every)] for number in range(count))
    fields = ({"audio_filepath": str(u.audio_path), "duration": u.duration_s, "text": u.text} for u in lines)
    path.write_text("".join(json.dumps(line) + "\n" for line in fields))


def measure(what: str, count: int, arguments: argparse.Namespace, folder: Path) -> list[float]:
    """Do the work; return the peaks on the way, in MB."""
    from synth.device import use_device
    from zeroq_asr.models.resolve import load_float_model
    from zeroq_asr.pipelines.calibration import real_batches
    from zeroq_asr.pipelines.quantize import quantize_model

    use_device("cpu", arguments.threads)
    model = load_float_model(arguments.model or shipped.DEFAULT_MODEL)
    config, manifest, peaks = QuantizeConfig(range_method=arguments.ranges), folder / "manifest.json", [peak_mb()]
    save_manifest(manifest, count)
    if what == "quantize-noise":
        batches = watched(noise(model.frontend.n_mels, count, arguments.lengths, arguments.seed), peaks)
        quantize_model(model, batches, "noise", config)
    elif what == "quantize-speech":
        quantize_model(model, watched(real_batches(manifest, model.frontend), peaks), "speech", config)
    elif what == "evaluate-speech":
        _evaluate(manifest, arguments, peaks)
    else:
        _analyze(manifest, arguments, config, folder)
    return [*peaks, peak_mb()]


def _evaluate(manifest: Path, arguments: argparse.Namespace, peaks: list[float]) -> None:
    from zeroq_asr.models.open import open_transcriber
    from zeroq_asr.pipelines.evaluate import evaluate, read_test_set

    blocks = 0

    def on_block() -> None:
        nonlocal blocks
        blocks += 1
        if blocks == 10:
            peaks.append(peak_mb())

    models = [open_transcriber(arguments.model or shipped.DEFAULT_MODEL, "native", arguments.threads)]
    evaluate(models, [read_test_set(str(manifest))], on_block=on_block)


def _analyze(manifest: Path, arguments: argparse.Namespace, config: QuantizeConfig, folder: Path) -> None:
    from zeroq_asr.models.resolve import load_float_model
    from zeroq_asr.pipelines.evaluate import read_test_set
    from zeroq_research.experiments import ExperimentConfig, ExperimentRunner, ExperimentSettings
    from zeroq_research.result_cache import ResultCache
    from zeroq_research.sensitivity_report import analyze, choose_probes

    model, speech = load_float_model(arguments.model or shipped.DEFAULT_MODEL), read_test_set(str(manifest))
    settings = ExperimentSettings("fast", speech, arguments.threads, "cpu")
    runner = ExperimentRunner(ResultCache(folder), model, settings)
    analyze(runner, ExperimentConfig(config, "real"), choose_probes(speech))


def bench(arguments: argparse.Namespace) -> int:
    """Print one line for each kind of work and number of utterances."""
    if arguments.one:
        what, count = arguments.one
        with TemporaryDirectory(prefix="zeroq-memory-") as folder:
            print(json.dumps(measure(what, int(count), arguments, Path(folder))))
        return 0
    print(f"{'work':16s} {'utterances':>10s} {'model MB':>9s} {'peak MB':>8s} {'after the first':>16s} {'seconds':>8s}")
    words = ["--seed", str(arguments.seed), "--threads", str(arguments.threads), "--ranges", arguments.ranges]
    words += ["--lengths", str(arguments.lengths), *(["--model", arguments.model] if arguments.model else [])]
    for what in arguments.what or WHAT:
        for count in arguments.utterances:
            started = time.monotonic()
            command = [sys.executable, __file__, *words, "--one", what, str(count)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            loaded, *peaks = json.loads(done.stdout)
            grown = f"{peaks[-1] - peaks[0]:.1f}" if len(peaks) > 1 else ""
            seconds = time.monotonic() - started
            print(f"{what:16s} {count:10d} {loaded:9.1f} {peaks[-1]:8.1f} {grown:>16s} {seconds:8.0f}", flush=True)
    return 0


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_flags(parser, "model", "seed", "threads", seed=SEED, threads=1)
    parser.add_argument("--what", action="append", choices=WHAT, help="repeatable (default: all)")
    parser.add_argument("--utterances", type=int, nargs="+", default=[100, 10_000], metavar="N")
    parser.add_argument("--lengths", type=int, default=LENGTHS, metavar="N", help="of noise (default: every 10 ms)")
    parser.add_argument("--ranges", choices=RANGE_METHODS, default=QuantizeConfig.range_method)
    parser.add_argument("--one", nargs=2, metavar=("WHAT", "N"), help=argparse.SUPPRESS)
    return run(bench, parser)


if __name__ == "__main__":
    sys.exit(main())
