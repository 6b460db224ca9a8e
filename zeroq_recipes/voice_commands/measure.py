"""Measure the word error rates of the shipped float models with NeMo itself.

    python -m zeroq_recipes.voice_commands.measure [--model NAME]

NeMo's restore_from and transcribe (greedy, float32, CPU); corpus WER and CER by jiwer: sum of edits / sum of words.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zeroq_asr import cli
from zeroq_asr.errors import FileError
from zeroq_asr.files import write_atomically
from zeroq_asr.models.shipped import manifest_path, model_path, shipped_models, shipped_sets


def read_set(manifest: Path) -> list[tuple[Path, str]]:
    """Return (audio file, text) of each line of a shipped NeMo manifest. Raises FileError if it is missing."""
    if not manifest.exists():
        raise FileError(
            f"{manifest}: no such manifest; make the sets with "
            "`python -m zeroq_recipes.voice_commands.corpus --test-sets 260`"
        )
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    return [(manifest.parent / line["audio_filepath"], line["text"]) for line in lines]


def open_model(path: Path) -> Any:
    """Return NeMo's model (letters or pieces, as the file says) on the CPU, without NeMo's log. Raises FileError."""
    import torch
    from nemo.collections.asr.models import EncDecCTCModel
    from nemo.utils import logging as nemo_logging

    nemo_logging.setLevel(logging.ERROR)
    if not path.exists():
        raise FileError(f"{path}: no such model file; train one with python -m zeroq_recipes.voice_commands.train")
    return EncDecCTCModel.restore_from(str(path), map_location=torch.device("cpu")).eval()


def transcribe(model: Any, audio: Sequence[Path]) -> list[str]:
    """Return the texts of audio files by NeMo's own transcribe."""
    results = model.transcribe([str(path) for path in audio], batch_size=16, verbose=False)
    return [result if isinstance(result, str) else result.text for result in results]


def measure(path: Path, sets: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return {set: {"wer": percent, "cer": percent, "utterances": n}} of the model in `path`."""
    import jiwer

    model = open_model(path)
    scores = {}
    for name in sets:
        items = read_set(manifest_path(name))
        hypotheses = transcribe(model, [audio for audio, _ in items])
        references = [text for _, text in items]
        scores[name] = {
            "wer": 100 * float(jiwer.wer(references, hypotheses)),
            "cer": 100 * float(jiwer.cer(references, hypotheses)),
            "utterances": len(items),
        }
    return scores


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        prog="python -m zeroq_recipes.voice_commands.measure", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--model",
        action="append",
        metavar="NAME|FILE",
        help="a shipped model or a .nemo file, repeatable (default: all)",
    )
    parser.add_argument("--set", action="append", choices=shipped_sets(), help="repeatable (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result as JSON")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Measure and print the rows of a Markdown table, one per model and set; return the exit code."""
    results = {}
    print("| model | set | utterances | WER | CER |\n|---|---|---|---|---|")
    for model in arguments.model or shipped_models():
        path = model_path(model) if model in shipped_models() else Path(model)
        results[model] = measure(path, arguments.set or shipped_sets())
        for name, row in results[model].items():
            print(
                f"| {model} | {name} | {int(row['utterances'])} | {row['wer']:.2f} % | {row['cer']:.2f} % |", flush=True
            )
    if arguments.json:
        write_atomically(arguments.json, (json.dumps(results, indent=1) + "\n").encode())
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return cli.run(run, build_parser(), argv)


if __name__ == "__main__":
    sys.exit(main())
