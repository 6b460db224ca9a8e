"""`zeroq-asr reproduce`: the paper's tables and figures on this machine, as one web page and as files.

table1: WER, size and bit operations. table2: synthetic against random against real calibration data. figure2: latency
against size. figure3: spectrograms with the text read in them. layers: quantization error by layer. pareto: bits per
layer against the same bits everywhere. onnxruntime: ONNX Runtime's int8 models with our ranges. A run that was killed
resumes where it stopped."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zeroq_asr.cli import progress, run
from zeroq_asr.config import BENCHMARK_FRAMES, BENCHMARK_ROUNDS, OUTPUT_DIR
from zeroq_asr.errors import ConfigError
from zeroq_research.cli.flags import add_experiment_flags, chosen_models, table_spec

if TYPE_CHECKING:
    from zeroq_asr.pipelines.evaluate import TestSet
    from zeroq_research.reproduction.config import ReproductionConfig
    from zeroq_research.result_cache import ResultCache

WHAT = ("table1", "table2", "figure2", "figure3", "layers", "pareto", "onnxruntime")
PUBLISHED = ("stt_en_quartznet15x5", "stt_en_jasper10x5dr", "stt_en_conformer_ctc_large")
"""NGC names of the paper's models, the default of --model with --librispeech."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    parser = argparse.ArgumentParser(prog="zeroq-asr reproduce", description=__doc__)
    parser.add_argument("what", choices=(*WHAT, "all"), help="which part")
    parser.add_argument(
        "--model",
        action="append",
        metavar="MODEL",
        help="a .nemo file, a shipped model, an NGC or Hugging Face name, or `all`; repeatable; figure 3 shows the "
        f"first (default: all shipped models; with --librispeech {', '.join(PUBLISHED)})",
    )
    _add_data_flags(parser)
    _add_figure_flags(parser)
    add_experiment_flags(parser)
    parser.add_argument(
        "--output",
        default=str(OUTPUT_DIR / "reproduce"),
        metavar="DIR",
        help="folder of report.html, tables and pictures (default: %(default)s)",
    )
    return parser


def _add_data_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--manifest",
        action="append",
        metavar="FILE",
        help="NeMo manifest, or the name of a shipped set; repeatable (default: clean other)",
    )
    parser.add_argument(
        "--librispeech",
        metavar="DIR",
        help="score on LibriSpeech instead: the folder that it was unpacked to; every dev- and test- split in it, or "
        "those that --split names",
    )
    parser.add_argument("--split", action="append", metavar="NAME", help="split of --librispeech; repeatable")
    parser.add_argument(
        "--real",
        metavar="FILE",
        help="manifest, shipped set or split of --librispeech for real calibration (default: dev-clean or the first)",
    )


def _add_figure_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--lm", metavar="FILE", help="n-gram model (ARPA) for figure 3 (default: one of the corpus text)"
    )
    parser.add_argument(
        "--rounds", type=int, default=BENCHMARK_ROUNDS, metavar="N", help="timed runs, figure 2 (default: %(default)s)"
    )
    parser.add_argument(
        "--frames",
        type=int,
        default=BENCHMARK_FRAMES,
        metavar="N",
        help="length of the audio of figure 2 (default: %(default)s)",
    )
    parser.add_argument(
        "--size", action="append", metavar="NAME", help="sizes of figure 2 (default: QuartzNet 5x5, 10x5, 15x5)"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return run(_main, build_parser(), argv)


def _main(arguments: argparse.Namespace) -> int:
    from zeroq_research.reproduction.parts import PARTS, count_steps
    from zeroq_research.reproduction.report import write_report

    def report(text: str) -> None:
        if not arguments.quiet:
            print(text, file=sys.stderr, flush=True)

    names = _available_parts(report) if arguments.what == "all" else (arguments.what,)
    config = _config(arguments, "figure3" in names, report)
    with progress(count_steps(config, names), "reproduce", arguments.quiet) as bar:
        sections = [PARTS[name](config, bar.advance) for name in names]
    for section in sections:
        print(f"{section.heading}\n")
        for table in section.tables.values():
            print(table.to_text())
    introduction = (
        f"Printed by zeroq-asr reproduce {arguments.what}; {config.sets[0].name} has {len(config.sets[0].utterances)} "
        f"utterances, every method ran {len(config.spec.seeds)} times."
    )
    for path in write_report(sections, Path(arguments.output), introduction):
        report(f"wrote {path}")
    print(f"report: {Path(arguments.output) / 'report.html'}")
    return 0


def _available_parts(report: Callable[[str], None]) -> tuple[str, ...]:
    """Return the parts that can be made here: all, or all but `onnxruntime` without the extra `peers`."""
    from zeroq_research.engines import installed_peers

    if "onnxruntime" in installed_peers():
        return WHAT
    report("without the part `onnxruntime`: pip install -e '.[peers]' adds it")
    return tuple(name for name in WHAT if name != "onnxruntime")


def _config(arguments: argparse.Namespace, with_texts: bool, report: Callable[[str], None]) -> ReproductionConfig:
    from zeroq_research.reproduction.config import ReproductionConfig
    from zeroq_research.reproduction.figure2 import SIZES
    from zeroq_research.result_cache import ResultCache

    for flag, most in (("rounds", 1_000_000), ("frames", 1_000_000)):
        if not 1 <= getattr(arguments, flag) <= most:
            raise ConfigError(f"--{flag}: expected 1 to {most}, got {getattr(arguments, flag)}")
    sets = _sets(arguments)
    default = list(PUBLISHED) if arguments.librispeech else ["all"]
    cache = ResultCache(Path(arguments.cells), arguments.fresh)
    return ReproductionConfig(
        spec=table_spec(arguments, chosen_models(arguments.model or default), _real(arguments, sets[0])),
        sets=sets,
        cache=cache,
        sizes=tuple(arguments.size or SIZES),
        frames=arguments.frames,
        rounds=arguments.rounds,
        threads=arguments.threads,
        arpa=_language_model(arguments, cache, report) if with_texts else None,
    )


def _sets(arguments: argparse.Namespace) -> tuple[TestSet, ...]:
    from eval.librispeech import find_splits, read_librispeech
    from zeroq_asr.models.shipped import shipped_sets
    from zeroq_asr.pipelines.evaluate import TestSet, read_test_set

    if arguments.librispeech is None:
        if arguments.split:
            raise ConfigError("--split: expected --librispeech DIR with it, got --split alone")
        names = arguments.manifest or shipped_sets()
        return tuple(read_test_set(name, arguments.limit) for name in dict.fromkeys(names))
    if arguments.manifest:
        raise ConfigError("--manifest: expected one of --manifest and --librispeech, got both")
    found = find_splits(arguments.librispeech)
    if missing := [name for name in arguments.split or () if name not in found]:
        raise ConfigError(f"--split: expected one of {', '.join(found)}, got {missing[0]}")
    chosen = {name: path for name, path in found.items() if not arguments.split or name in arguments.split}
    return tuple(TestSet(n, tuple(read_librispeech(path, arguments.limit))) for n, path in chosen.items())


def _real(arguments: argparse.Namespace, first: TestSet) -> TestSet:
    """Return the speech of real calibration, not limited by --limit: --real, else dev-clean, else the first set."""
    from eval.librispeech import find_splits, read_librispeech
    from zeroq_asr.pipelines.evaluate import TestSet, read_test_set

    splits = find_splits(arguments.librispeech) if arguments.librispeech else {}
    name = arguments.real or ("dev-clean" if "dev-clean" in splits else first.name)
    if name in splits:
        return TestSet(name, tuple(read_librispeech(splits[name])))
    return read_test_set(name)


def _language_model(arguments: argparse.Namespace, cache: ResultCache, report: Callable[[str], None]) -> Path | None:
    from eval.beam import has_beam_search
    from zeroq_research.reproduction.figure3 import corpus_language_model

    if not has_beam_search():
        if arguments.lm:
            raise ConfigError("--lm: expected flashlight-text, it is not installed; pip install -e '.[lm]'")
        report("figure 3 without a language model: pip install -e '.[lm]' adds the beam search")
        return None
    if arguments.lm:
        return Path(arguments.lm)
    return None if arguments.librispeech else corpus_language_model(cache, report)


if __name__ == "__main__":
    raise SystemExit(main())
