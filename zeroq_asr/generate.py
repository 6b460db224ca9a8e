"""`python -m zeroq_asr.generate`: make synthetic calibration data from a checkpoint alone."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zeroq_asr import config as defaults
from zeroq_asr.callable_module import make_callable
from zeroq_asr.cli import add_common_flags, progress, run
from zeroq_asr.config import GenerateConfig
from zeroq_asr.errors import FileError
from zeroq_asr.files import write_atomically

if TYPE_CHECKING:
    from synth import StepRecord
    from zeroq_asr.adapters import FloatModel
    from zeroq_asr.pipelines.generate import Generated

LOSSES = ("kl", "symmetric-kl", "w2")
INITS = ("uniform", "gaussian", "smooth", "speech")
SCHEDULES = ("constant", "cosine")

make_callable(__name__)  # `zeroq_asr.generate(...)` is the function of the Python API


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this verb; every default is in zeroq_asr.config."""
    parser = argparse.ArgumentParser(
        prog="python -m zeroq_asr.generate",
        description="Make synthetic log-mel spectrograms whose statistics match the running statistics of each "
        "BatchNorm of the model. No data is needed.",
    )
    add_common_flags(
        parser,
        "float_model",
        "seed",
        "device",
        "threads",
        "output",
        "json",
        "quiet",
        "resume",
        seed=defaults.SEED,
        device=defaults.DEVICE,
        threads=defaults.GENERATE_THREADS,
    )
    parser.add_argument(
        "--preset",
        choices=defaults.PRESETS,
        default=defaults.PRESET,
        help="fast: equal quality in a tenth of the time; paper: the published values (default: %(default)s)",
    )
    _add_preset_flags(parser)
    _add_output_flags(parser)
    return parser


def _add_preset_flags(parser: argparse.ArgumentParser) -> None:
    change = parser.add_argument_group("changes to the preset")
    change.add_argument("--loss", choices=LOSSES, help="distance between running and synthetic statistics")
    change.add_argument("--init", choices=INITS, help="initial noise")
    change.add_argument("--batches", type=int, metavar="N", help="number of batches")
    change.add_argument("--batch-size", type=int, metavar="N", help="spectrograms in a batch")
    change.add_argument(
        "--frames",
        type=int,
        nargs="+",
        metavar="N",
        help="frames of a spectrogram; several: for consecutive batches",
    )
    change.add_argument(
        "--iterations", type=int, nargs="+", metavar="N", help="steps of a batch; several: for consecutive batches"
    )
    change.add_argument("--lr", type=float, nargs="+", metavar="X", help="learning rate; several: all combinations")
    change.add_argument("--schedule", choices=SCHEDULES, help="schedule of the learning rate within a batch")
    change.add_argument(
        "--normalize",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="hold every mel bin at mean 0 and deviation 1, as the front end does for speech",
    )
    change.add_argument(
        "--early-stop",
        type=float,
        metavar="X",
        help="end a batch when its best loss fell by less than this fraction in 25 steps; 0: never",
    )
    change.add_argument("--smoothness", type=float, metavar="X", help="weight of mean |x[t + 1] - x[t]|; 0: off")
    change.add_argument(
        "--diversity", type=float, metavar="X", help="weight of the similarity of frames behind attention; 0: off"
    )


def _add_output_flags(parser: argparse.ArgumentParser) -> None:
    show = parser.add_argument_group("logs and pictures")
    show.add_argument("--logdir", metavar="FOLDER", help="TensorBoard logs (default: a folder in zeroq-out)")
    show.add_argument("--no-logs", action="store_true", help="write no TensorBoard logs")
    show.add_argument(
        "--reference",
        metavar="FILE",
        help="real speech for comparison: a manifest, a shipped set (clean, other) or an audio file",
    )
    show.add_argument("--picture", metavar="FILE", help="save start, result and reference as a PNG")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return run(_generate, build_parser(), argv)


def _generate(arguments: argparse.Namespace) -> int:
    config = config_of(arguments)
    for name in (arguments.json, arguments.picture):
        if name is not None and Path(name).is_dir():  # report it before the work
            raise FileError(f"{name}: expected the name of a file to write, got a folder; give a file name in it")
    from zeroq_asr.models import shipped
    from zeroq_asr.models.resolve import load_float_model
    from zeroq_asr.pipelines.generate import default_data_path

    model = load_float_model(arguments.model or shipped.DEFAULT_MODEL)
    output = Path(arguments.output) if arguments.output else default_data_path(model, config)
    logdir = None if arguments.no_logs else Path(arguments.logdir or defaults.OUTPUT_DIR / "tensorboard" / output.stem)
    started = time.monotonic()
    try:
        result = _run(arguments, config, model, output, logdir)
    except KeyboardInterrupt:
        print("finished batches are kept; run the same command with --resume to continue", file=sys.stderr)
        raise
    summary = _summary(result, config, model, time.monotonic() - started, logdir)
    if arguments.json:
        write_atomically(arguments.json, (json.dumps(summary, indent=2) + "\n").encode())
    print(_text(summary))
    return 0


def config_of(arguments: argparse.Namespace) -> GenerateConfig:
    """Return the preset with the changes of the given flags. Raises ConfigError."""
    changes: dict[str, Any] = {"seed": arguments.seed}
    plain = ("loss", "init", "batches", "batch_size", "schedule", "normalize", "early_stop", "smoothness", "diversity")
    for name in plain:
        if getattr(arguments, name) is not None:
            changes[name] = getattr(arguments, name)
    if arguments.frames is not None:
        several = len(arguments.frames) > 1
        changes |= {"frames": arguments.frames[0], "lengths": tuple(arguments.frames) if several else ()}
    for name in ("iterations", "lr"):
        if getattr(arguments, name) is not None:
            changes[name] = tuple(getattr(arguments, name))
    return replace(GenerateConfig.of_preset(arguments.preset), **changes)


def _run(
    arguments: argparse.Namespace, config: GenerateConfig, model: FloatModel, output: Path, logdir: Path | None
) -> Generated:
    """Run the synthesis with the requested progress, logs and picture."""
    from contextlib import ExitStack

    from zeroq_asr.analyses.batchnorm_statistics import find_batchnorm_statistics
    from zeroq_asr.pipelines.generate import generate, synthesis_settings
    from zeroq_asr.pipelines.synthesis_view import reference_panel, synthesis_picture, text_decoder

    settings = synthesis_settings(config, model)
    read_text = text_decoder(model, arguments.threads)
    reference = reference_panel(arguments.reference, config, model, read_text)
    hop_ms = model.frontend.hop_ms
    with ExitStack() as stack:
        bar = stack.enter_context(progress(settings.total_iterations + settings.batches, "generate", arguments.quiet))
        log: Callable[[StepRecord], None] | None = None
        if logdir is not None:
            from zeroq_asr.report.tensorboard import TensorBoardLog

            names = [norm.name for norm in find_batchnorm_statistics(model.graph)]
            tensorboard = TensorBoardLog(logdir, names, hop_ms, read_text, reference, keep=arguments.resume)
            log = stack.enter_context(tensorboard)

        def on_record(record: StepRecord) -> None:
            bar.advance(f"batch {record.batch + 1}/{settings.batches} loss {record.total:.4g}")
            if log is not None:
                log(record)

        options = {name: getattr(arguments, name) for name in ("resume", "device", "threads")}
        result = generate(model, config, output, on_record=on_record, **options)
    if arguments.picture:
        picture = synthesis_picture(result.data, read_text, reference, hop_ms)
        write_atomically(arguments.picture, picture)
    return result


def _summary(
    result: Generated, config: GenerateConfig, model: FloatModel, seconds: float, logdir: Path | None
) -> dict[str, Any]:
    """Return the summary that is printed and written as JSON."""
    data = result.data
    starts = [float(batch.losses[0]) for batch in data.batches]
    ends = [float(batch.losses[-1]) for batch in data.batches]
    batchnorms = {
        name: {
            "start": sum(float(batch.batchnorm_losses_start[k]) for batch in data.batches) / len(data.batches),
            "end": sum(float(batch.batchnorm_losses_end[k]) for batch in data.batches) / len(data.batches),
        }
        for k, name in enumerate(data.batchnorms)
    }
    return {
        "model": model.name,
        "fingerprint": data.fingerprint,
        "preset": config.preset,
        "settings": data.settings.to_json(),
        "batches_found": result.batches_found,
        "seconds": round(seconds, 3),
        "loss_start": starts,
        "loss_end": ends,
        "batchnorms": batchnorms,
        "output": str(result.path),
        "logdir": None if logdir is None else str(logdir),
    }


def _text(summary: dict[str, Any]) -> str:
    """Return the summary as text."""
    settings, count = summary["settings"], len(summary["loss_end"])
    begin, end = sum(summary["loss_start"]) / count, sum(summary["loss_end"]) / count
    worst = max(summary["batchnorms"].items(), key=lambda item: float(item[1]["end"]))
    spec, frames = settings["spec"], settings["lengths"] or [settings["spec"]["frames"]]
    lines = [
        f"model      {summary['model']} ({len(summary['batchnorms'])} BatchNorms)",
        f"data       {count} batches of {spec['batch_size']} x {spec['n_mels']} x {'/'.join(map(str, frames))}, preset "
        f"{summary['preset']}, seed {settings['seed']}",
        f"loss       {begin:.4g} -> {end:.4g} ({settings['loss']}; worst BatchNorm {worst[0]}: {worst[1]['end']:.3g})",
        f"time       {summary['seconds']:.1f} s"
        + (f" ({summary['batches_found']} batches were there already)" if summary["batches_found"] else ""),
        f"file       {summary['output']}",
    ]
    if summary["logdir"]:
        lines.append(f"pictures   tensorboard --logdir {shlex.quote(summary['logdir'])}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
