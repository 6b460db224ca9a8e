"""`python -m zeroq_asr.evaluate`: error rates of float and quantized models with confidence intervals."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from zeroq_asr.cli import add_common_flags, progress, run
from zeroq_asr.config import SEED, THREADS
from zeroq_asr.errors import ConfigError

if TYPE_CHECKING:
    from eval.types import EvalReport

_HEADINGS = ("model", "bits", "backend", "WER %", "[95 %]", "CER %", "vs first, points", "identical %", "bytes")


def table(reports: Sequence[EvalReport]) -> str:
    """Return the reports as text: one heading per set, one line per model, and the meaning of the marks."""
    from zeroq_asr.report.text_table import align

    rows: dict[str, list[tuple[str, ...]]] = {
        name: [_HEADINGS] for name in dict.fromkeys(report.manifest for report in reports)
    }
    titles = {}
    for report in reports:
        scores = report.scores
        rows[report.manifest].append(_row(report))
        titles[report.manifest] = f"{report.manifest}: {scores.utterances:,} utterances, {scores.words:,} words"
    lines: list[str] = []
    for name, cells in rows.items():
        lines += [titles[name], *align(cells, left={0, 1, 2, 4, 6}), ""]
    if any(report.comparison for report in reports):
        lines.append(
            "vs first: difference to the first model with the 95 % interval of the paired bootstrap; * excludes zero."
        )
        lines.append("Without *, this set cannot tell the two apart, which is not the same as no loss.")
    return "\n".join(lines).rstrip("\n") + "\n"


def _row(report: EvalReport) -> tuple[str, ...]:
    scores, pair = report.scores, report.comparison
    difference = identical = "-"
    if pair is not None:
        mark = " *" if pair.is_significant else ""
        difference = f"{pair.difference:+.2f} [{pair.low:+.2f}, {pair.high:+.2f}]{mark}"
        identical = f"{pair.identical:.1f}"
    return (
        report.model,
        report.bits,
        report.backend,
        f"{scores.wer:.2f}",
        f"[{scores.wer_low:.2f}, {scores.wer_high:.2f}]",
        f"{scores.cer:.2f}",
        difference,
        identical,
        f"{report.size_bytes:,}",
    )


def to_json(reports: Sequence[EvalReport], seed: int) -> bytes:
    """Return `{"results": [...], "seed", "resamples", "confidence"}`; rates in percent, differences in points."""
    from eval.wer import CONFIDENCE

    resamples = reports[0].scores.resamples if reports else 0
    document = {
        "results": [report.to_json() for report in reports],
        "seed": seed,
        "resamples": resamples,
        "confidence": CONFIDENCE,
    }
    return (json.dumps(document, indent=2, allow_nan=False) + "\n").encode()


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    parser = argparse.ArgumentParser(prog="python -m zeroq_asr.evaluate", description=__doc__)
    parser.add_argument(
        "--model",
        action="append",
        metavar="MODEL",
        help="a .nemo file, a quantized file, or the name of a shipped or hub model; repeatable, all are compared with "
        "the first (default: the shipped float model)",
    )
    add_common_flags(parser, "manifest")
    parser.add_argument(
        "--backend",
        action="append",
        choices=("native", "reference", "float"),
        help="how quantized files are computed: compiled kernels, the numpy reference (same bytes, slow), or a float "
        "simulation of the same scales; repeatable (default: native); float models are always computed in float",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N utterances of each set")
    add_common_flags(parser, "threads", "seed", "json", "quiet", threads=THREADS, seed=SEED)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return run(_main, build_parser(), argv)


def _main(arguments: argparse.Namespace) -> int:
    from zeroq_asr.files import write_atomically
    from zeroq_asr.models.kind import find_model_kind
    from zeroq_asr.models.open import open_transcriber
    from zeroq_asr.models.shipped import DEFAULT_MODEL, shipped_sets
    from zeroq_asr.pipelines.evaluate import evaluate, read_test_set, split_into_blocks

    if arguments.limit is not None and arguments.limit < 1:
        raise ConfigError(f"--limit: expected at least 1, got {arguments.limit}")
    sets = [read_test_set(name, arguments.limit) for name in dict.fromkeys(arguments.manifest or shipped_sets())]
    names = arguments.model or [DEFAULT_MODEL]
    models = [
        open_transcriber(name, backend, arguments.threads)
        for name in names
        for backend in dict.fromkeys(arguments.backend or ["native"])
        if backend == (arguments.backend or ["native"])[0] or find_model_kind(name) == "quantized"
    ]
    blocks = sum(len(split_into_blocks(test_set.utterances)) for test_set in sets)
    with progress(blocks, "evaluate, blocks of 30 s", arguments.quiet) as bar:
        reports = evaluate(models, sets, arguments.seed, bar.advance)
    print(table(reports), end="", flush=True)
    if arguments.json:
        write_atomically(arguments.json, to_json(reports, arguments.seed))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
