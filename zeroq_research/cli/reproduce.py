"""`zeroq-asr reproduce`: the paper's tables and figures on this machine, as one web page and as files.

table1: WER, size and bit operations. table2: synthetic against random against real calibration data. figure2: latency
against size. figure3: spectrograms with the text read in them. layers: which layer hurts. pareto: bits for each layer
against the same bits everywhere. onnxruntime: what our ranges are worth to ONNX Runtime's int8 models. A killed run
goes on where it stopped."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zeroq_asr.cli import progress, run
from zeroq_asr.config import BENCHMARK_FRAMES, BENCHMARK_ROUNDS, OUTPUT_DIR
from zeroq_asr.errors import ConfigError
from zeroq_research.cli.table import add_bench_flags, bench_plan, chosen_models

if TYPE_CHECKING:
    from zeroq_asr.pipelines.evaluate import TestSet
    from zeroq_research.reproduction.sections import OnStep, Part, Study

WHAT = ("table1", "table2", "figure2", "figure3", "layers", "pareto", "onnxruntime")
PUBLISHED = ("stt_en_quartznet15x5", "stt_en_jasper10x5dr", "stt_en_conformer_ctc_large")
"""NGC names of the paper's models, in --librispeech's default."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    parser = argparse.ArgumentParser(prog="zeroq-asr reproduce", description=__doc__)
    parser.add_argument("what", choices=(*WHAT, "all"), help="which of them")
    parser.add_argument(
        "--model",
        action="append",
        metavar="MODEL",
        help="a .nemo file, a shipped model, an NGC or Hugging Face name, or `all`; repeatable; figure 3 shows the "
        f"first (default: all shipped models; with --librispeech {', '.join(PUBLISHED)})",
    )
    parser.add_argument(
        "--manifest",
        action="append",
        metavar="FILE",
        help="NeMo manifest, or the name of a shipped set; repeatable (default: clean other)",
    )
    parser.add_argument(
        "--librispeech",
        metavar="DIR",
        help="score on LibriSpeech instead: the folder it was unpacked in; every dev- and test- split found there, or "
        "those that --split names",
    )
    parser.add_argument("--split", action="append", metavar="NAME", help="split of --librispeech; repeatable")
    parser.add_argument(
        "--real",
        metavar="FILE",
        help="manifest, shipped set or split of --librispeech for real calibration (default: dev-clean or the first)",
    )
    parser.add_argument("--lm", metavar="FILE", help="n-gram model (ARPA) for figure 3 (default: one of the corpus)")
    parser.add_argument(
        "--rounds", type=int, default=BENCHMARK_ROUNDS, metavar="N", help="timed runs, figure 2 (default: %(default)s)"
    )
    parser.add_argument(
        "--frames", type=int, default=BENCHMARK_FRAMES, metavar="N", help="audio of figure 2 (default: %(default)s)"
    )
    parser.add_argument(
        "--size", action="append", metavar="NAME", help="sizes of figure 2 (default: QuartzNet 5x5, 10x5, 15x5)"
    )
    add_bench_flags(parser)
    parser.add_argument(
        "--output",
        default=str(OUTPUT_DIR / "reproduce"),
        metavar="DIR",
        help="report.html, tables and pictures go there (default: %(default)s)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return run(_main, build_parser(), argv)


def _main(arguments: argparse.Namespace) -> int:
    from zeroq_research.reproduction.sections import write_parts

    def tell(text: str) -> None:
        if not arguments.quiet:
            print(text, file=sys.stderr, flush=True)

    wanted = _all_parts(tell) if arguments.what == "all" else (arguments.what,)
    study = _study(arguments, "figure3" in wanted, tell)
    with progress(_count_steps(study, wanted), "reproduce", arguments.quiet) as bar:
        parts = [_parts()[name](study, bar.advance) for name in wanted]
    for part in parts:
        print(f"{part.heading}\n")
        for sheet in part.sheets.values():
            print(sheet.to_text())
    command = f"Printed by zeroq-asr reproduce {arguments.what}; {study.sets[0].name} has "
    introduction = (
        f"{command}{len(study.sets[0].utterances)} utterances, every method ran {len(study.plan.seeds)} times."
    )
    for path in write_parts(parts, Path(arguments.output), introduction):
        tell(f"written {path}")
    print(f"report: {Path(arguments.output) / 'report.html'}")
    return 0


def _parts() -> dict[str, Callable[[Study, OnStep], Part]]:
    from zeroq_research.reproduction.engines import onnxruntime
    from zeroq_research.reproduction.figures import figure2, figure3
    from zeroq_research.reproduction.pareto import pareto
    from zeroq_research.reproduction.sections import layers, table1, table2

    return {
        "table1": table1,
        "table2": table2,
        "figure2": figure2,
        "figure3": figure3,
        "layers": layers,
        "pareto": pareto,
        "onnxruntime": onnxruntime,
    }


def _all_parts(tell: Callable[[str], None]) -> tuple[str, ...]:
    """What can be made here: everything, or without the extra `peers` everything else."""
    from zeroq_research.engines import installed_peers

    if "onnxruntime" in installed_peers():
        return WHAT
    tell("without the part `onnxruntime`: pip install -e '.[peers]' adds it")
    return tuple(name for name in WHAT if name != "onnxruntime")


def _count_steps(study: Study, wanted: Sequence[str]) -> int:
    """Steps still to be done; what two tables share is counted once."""
    from zeroq_research.reproduction.engines import count_onnxruntime
    from zeroq_research.reproduction.paper import PAPER_ROWS
    from zeroq_research.reproduction.pareto import count_pareto
    from zeroq_research.reproduction.sections import count_layers, count_table1, count_table2

    steps = len(study.sizes) * study.rounds if "figure2" in wanted else 0
    steps += count_layers(study) if "layers" in wanted else 0
    steps += count_pareto(study, "table1" in wanted or "table2" in wanted) if "pareto" in wanted else 0
    steps += count_onnxruntime(study, "table2" not in wanted) if "onnxruntime" in wanted else 0
    if "table2" in wanted:
        return steps + count_table2(study) + (len({row.size for row in PAPER_ROWS}) if "table1" in wanted else 0)
    return steps + (count_table1(study) if "table1" in wanted else 0)


def _study(arguments: argparse.Namespace, with_texts: bool, tell: Callable[[str], None]) -> Study:
    from zeroq_research.reproduction.figures import SIZES
    from zeroq_research.reproduction.sections import Study
    from zeroq_research.result_cache import CellStore

    for flag, most in (("rounds", 1_000_000), ("frames", 1_000_000)):
        if not 1 <= getattr(arguments, flag) <= most:
            raise ConfigError(f"--{flag}: expected 1 to {most}, got {getattr(arguments, flag)}")
    sets = _sets(arguments)
    default = list(PUBLISHED) if arguments.librispeech else ["all"]
    store = CellStore(Path(arguments.cells), arguments.fresh)
    return Study(
        plan=bench_plan(arguments, chosen_models(arguments.model or default), _real(arguments, sets[0])),
        sets=sets,
        store=store,
        sizes=tuple(arguments.size or SIZES),
        frames=arguments.frames,
        rounds=arguments.rounds,
        threads=arguments.threads,
        arpa=_language_model(arguments, store, tell) if with_texts else None,
    )


def _sets(arguments: argparse.Namespace) -> tuple[TestSet, ...]:
    from eval.librispeech import find_splits, read_librispeech
    from zeroq_asr.models.shipped import shipped_sets
    from zeroq_asr.pipelines.evaluate import TestSet, read_test_set

    if arguments.librispeech is None:
        if arguments.split:
            raise ConfigError("--split: goes with --librispeech DIR, got alone; give the folder too")
        names = arguments.manifest or shipped_sets()
        return tuple(read_test_set(name, arguments.limit) for name in dict.fromkeys(names))
    if arguments.manifest:
        raise ConfigError("--manifest: came with --librispeech; leave one of them away")
    found = find_splits(arguments.librispeech)
    if missing := [name for name in arguments.split or () if name not in found]:
        raise ConfigError(f"--split: expected one of {', '.join(found)}, got {missing[0]}")
    chosen = {name: path for name, path in found.items() if not arguments.split or name in arguments.split}
    return tuple(TestSet(n, tuple(read_librispeech(path, arguments.limit))) for n, path in chosen.items())


def _real(arguments: argparse.Namespace, first: TestSet) -> TestSet:
    """The speech of real calibration, never limited: --real, or else dev-clean, or else the first set."""
    from eval.librispeech import find_splits, read_librispeech
    from zeroq_asr.pipelines.evaluate import TestSet, read_test_set

    splits = find_splits(arguments.librispeech) if arguments.librispeech else {}
    name = arguments.real or ("dev-clean" if "dev-clean" in splits else first.name)
    if name in splits:
        return TestSet(name, tuple(read_librispeech(splits[name])))
    return read_test_set(name)


def _language_model(arguments: argparse.Namespace, store: object, tell: Callable[[str], None]) -> Path | None:
    from eval.beam import has_beam_search
    from zeroq_research.reproduction.figures import corpus_arpa
    from zeroq_research.result_cache import CellStore

    assert isinstance(store, CellStore)
    if not has_beam_search():
        if arguments.lm:
            raise ConfigError("--lm: expected flashlight-text, it is not installed; pip install -e '.[lm]'")
        tell("figure 3 without a language model: pip install -e '.[lm]' adds the beam search")
        return None
    if arguments.lm:
        return Path(arguments.lm)
    return None if arguments.librispeech else corpus_arpa(store, tell)


if __name__ == "__main__":
    raise SystemExit(main())
