"""`python -m zeroq_asr.evaluate`: error rates of float and quantized models side by side, with intervals."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zeroq_asr.cli import add_common_flags, progress, run
from zeroq_asr.config import SEED, THREADS
from zeroq_asr.errors import ConfigError

if TYPE_CHECKING:
    from eval.types import EvalReport, Utterance
    from zeroq_asr.ir.frontend_spec import FrontendSpec
    from zeroq_asr.runtime.transcriber import Features, Transcriber

# Features of about this much audio are held at a time, shared by all models: bounds the memory, fills a batch.
_BLOCK_SECONDS = 30.0


@dataclass(frozen=True)
class TestSet:
    """The utterances of one manifest and the name that the report gives it."""

    __test__ = False  # the name is no test class of pytest's

    name: str
    utterances: tuple[Utterance, ...]


def read_test_set(reference: str, limit: int | None = None) -> TestSet:
    """Return a shipped set by its name ("clean", "other") or a manifest by its path; the first `limit` utterances.

    Raises ManifestError.
    """
    from eval.manifest import read_manifest
    from zeroq_asr.zoo import manifest_path, shipped_sets

    path = manifest_path(reference) if reference in shipped_sets() else Path(reference)
    return TestSet(reference, tuple(read_manifest(path, limit)))


def evaluate(
    models: Sequence[Transcriber], sets: Sequence[TestSet], seed: int = SEED, quiet: bool = True
) -> list[EvalReport]:
    """Transcribe every set with every model and score it; each model after the first is compared with the first.

    Features are computed once for all models with the same front end. Reports come set by set, models in order. Raises
    ZeroqError and EvalError for audio or transcripts that cannot be used.
    """
    from eval.compare import compare
    from eval.types import EvalReport
    from eval.wer import score

    names = _names(models)
    reports = []
    for test_set in sets:
        references = [utterance.text for utterance in test_set.utterances]
        texts, seconds = _transcribe(models, test_set, quiet)
        for index, model in enumerate(models):
            scores = score(references, texts[index], seed)
            pair = compare(references, texts[0], texts[index], seed) if index else None
            reports.append(
                EvalReport(
                    model=names[index],
                    manifest=test_set.name,
                    backend=model.backend,
                    bits=model.bits,
                    size_bytes=model.size_bytes,
                    seconds=seconds[index],
                    scores=scores,
                    comparison=pair,
                )
            )
    return reports


def _transcribe(models: Sequence[Transcriber], test_set: TestSet, quiet: bool) -> tuple[list[list[str]], list[float]]:
    """Return the texts [model][utterance] and the seconds that each model computed (front end excluded)."""
    utterances = test_set.utterances
    texts = [[""] * len(utterances) for _ in models]
    seconds = [0.0] * len(models)
    specs = dict.fromkeys(model.frontend for model in models)
    blocks = _blocks(utterances)
    with progress(len(blocks), f"evaluate {test_set.name}, half minutes of speech", quiet) as bar:
        for block in blocks:
            features = {spec: [_features(utterances[i], spec) for i in block] for spec in specs}
            lengths = [utterances[i].duration_s for i in block]
            for number, model in enumerate(models):
                started = time.perf_counter()
                transcripts = model.transcribe_features(features[model.frontend], lengths)
                seconds[number] += time.perf_counter() - started
                for i, transcript in zip(block, transcripts, strict=True):
                    texts[number][i] = transcript.text
            bar.advance()
    return texts, seconds


def _features(utterance: Utterance, spec: FrontendSpec) -> Features:
    from zeroq_asr.runtime.transcriber import features_of, read_utterance

    return features_of(read_utterance(utterance, spec.sample_rate_hz), spec, utterance.audio_path)


def _blocks(utterances: Sequence[Utterance]) -> list[list[int]]:
    """Return the indices, shortest utterance first, in blocks of bounded length: neighbours make good batches."""
    blocks: list[list[int]] = []
    filled = 0.0
    for index in sorted(range(len(utterances)), key=lambda i: utterances[i].duration_s):
        if not blocks or filled + utterances[index].duration_s > _BLOCK_SECONDS:
            blocks.append([])
            filled = 0.0
        blocks[-1].append(index)
        filled += utterances[index].duration_s
    return blocks


def _names(models: Sequence[Transcriber]) -> list[str]:
    """Return the models' names, numbered where two rows would otherwise look the same."""
    keys = [(model.name, model.backend) for model in models]
    return [f"{key[0]} ({i + 1})" if keys.count(key) > 1 else key[0] for i, key in enumerate(keys)]


# ---- the printed table --------------------------------------------------------------------------------------------

_HEADINGS = ("model", "bits", "backend", "WER %", "[95 %]", "CER %", "vs first, points", "identical %", "bytes")


def table(reports: Sequence[EvalReport]) -> str:
    """Return the reports as text: one heading per set, one line per model, and what the marks mean."""
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
        widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADINGS))]
        lines += [titles[name], *(_line(row, widths) for row in cells), ""]
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


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    left = {0, 1, 2, 4, 6}
    cells = (text.ljust(w) if i in left else text.rjust(w) for i, (text, w) in enumerate(zip(row, widths, strict=True)))
    return "  ".join(cells).rstrip()


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


# ---- the command line ---------------------------------------------------------------------------------------------


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    parser = argparse.ArgumentParser(prog="python -m zeroq_asr.evaluate", description=__doc__)
    parser.add_argument(
        "--model",
        action="append",
        metavar="MODEL",
        help="a .nemo file, a quantized file, a shipped model's or a hub name; repeatable, the first is compared with "
        "(default: the shipped float model)",
    )
    add_common_flags(parser, "manifest")
    parser.add_argument(
        "--backend",
        action="append",
        choices=("native", "reference", "float"),
        help="how quantized files compute: compiled kernels, the numpy reference (same bytes, slow), or a float "
        "simulation of the same scales; repeatable (default: native); a float model always computes in float",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N utterances of each set")
    add_common_flags(parser, "threads", "seed", "json", "quiet", threads=THREADS, seed=SEED)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return run(_main, build_parser(), argv)


def _main(arguments: argparse.Namespace) -> int:
    from zeroq_asr.files import write_atomically
    from zeroq_asr.runtime.model_kind import find_model_kind
    from zeroq_asr.runtime.transcriber import open_transcriber
    from zeroq_asr.zoo import DEFAULT_MODEL, shipped_sets

    if arguments.seed < 0:
        raise ConfigError(f"--seed: needed a whole number from 0, came {arguments.seed}")
    if arguments.limit is not None and arguments.limit < 1:
        raise ConfigError(f"--limit: needed at least 1, came {arguments.limit}")
    sets = [read_test_set(name, arguments.limit) for name in arguments.manifest or shipped_sets()]
    names = arguments.model or [DEFAULT_MODEL]
    backends = dict.fromkeys(arguments.backend or ["native"])
    models = [
        open_transcriber(name, backend, arguments.threads)
        for name in names
        for backend in (backends if find_model_kind(name) == "quantized" else ["float"])
    ]
    reports = evaluate(models, sets, arguments.seed, arguments.quiet)
    print(table(reports), end="", flush=True)
    if arguments.json:
        write_atomically(arguments.json, to_json(reports, arguments.seed))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
