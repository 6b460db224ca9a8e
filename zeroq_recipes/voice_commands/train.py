"""Train a shipped model with one command.

    python -m zeroq_recipes.voice_commands.train --model NAME --output FILE.nemo

A child process renders the corpus while the training runs. The model is NeMo's own class, the loss is the CTC loss, the
optimiser is AdamW with a cosine schedule. A checkpoint is written every two minutes; ``--resume`` continues from it.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from zeroq_asr import cli
from zeroq_asr.errors import ConfigError
from zeroq_asr.models.shipped import DEFAULT_MODEL
from zeroq_recipes.voice_commands.batches import Curriculum
from zeroq_recipes.voice_commands.corpus import DEV, read_shard
from zeroq_recipes.voice_commands.trainer import Trainer
from zeroq_recipes.voice_commands.training_recipes import RECIPES, TrainingRecipe, recipe_of

CHECKPOINT_EVERY_S = 120.0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        prog="python -m zeroq_recipes.voice_commands.train", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--model", choices=tuple(RECIPES), default=DEFAULT_MODEL, help=f"default: {DEFAULT_MODEL}")
    parser.add_argument(
        "--work", type=Path, default=Path("zoo-work"), help="folder for corpus and checkpoint (about 3 GB)"
    )
    parser.add_argument("--output", type=Path, required=True, help="the .nemo file to write")
    parser.add_argument("--steps", type=int, help="optimiser steps of the main part (default: the model's recipe)")
    parser.add_argument(
        "--refine", type=int, help="further steps, with more of the harder voices (default: the recipe)"
    )
    parser.add_argument("--lr", type=float, help="peak learning rate (default: the recipe)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--dtype", choices=("bfloat16", "float32"), default="bfloat16", help="of activations in training"
    )
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoint in --work")
    parser.add_argument("--export-only", action="store_true", help="write the .nemo from the checkpoint and stop")
    return parser


def recipe_from(arguments: argparse.Namespace) -> TrainingRecipe:
    """Return the recipe of the model with the changes of the command line."""
    changes = {"steps": arguments.steps, "refine": arguments.refine, "peak": arguments.lr}
    return dataclasses.replace(
        recipe_of(arguments.model), **{name: value for name, value in changes.items() if value is not None}
    )


def _start_corpus(arguments: argparse.Namespace) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "zeroq_recipes.voice_commands.corpus",
        "--folder",
        str(arguments.work / "corpus"),
        "--seed",
        str(arguments.seed),
    ]
    # A new process group can be ended together with its workers, and desktop schedulers give it a fair share of CPU.
    return subprocess.Popen(command, start_new_session=True)


def run(arguments: argparse.Namespace) -> int:
    """Train or resume the model, then write the .nemo file; return the exit code."""
    arguments.work.mkdir(parents=True, exist_ok=True)
    recipe = recipe_from(arguments)
    trainer = Trainer(recipe, arguments.work, seed=arguments.seed, threads=arguments.threads, dtype=arguments.dtype)
    if arguments.resume or arguments.export_only:
        trainer.load(allow_other_steps=arguments.export_only)
    if not arguments.export_only:
        maker = _start_corpus(arguments)
        try:
            _train(trainer, maker, arguments)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(maker.pid, signal.SIGTERM)
            maker.wait()
    trainer.export(arguments.output)
    print(f"{arguments.output}: {sum(p.numel() for p in trainer.model.parameters())} parameters, {trainer.step} steps")
    return 0


def _train(trainer: Trainer, maker: subprocess.Popen[bytes], arguments: argparse.Namespace) -> None:
    recipe = trainer.recipe

    def waiting(name: str) -> None:
        if maker.poll() not in (None, 0):
            raise ConfigError(f"the corpus process ended (exit code {maker.returncode}) before it wrote shard {name}")

    corpus = arguments.work / "corpus"
    curriculum = Curriculum(corpus, recipe.stages, trainer.tokens.encode, arguments.seed, recipe.steps, waiting)
    saved, losses, dev_note = time.monotonic(), [], ""
    total = recipe.steps + recipe.refine
    with cli.progress(total - trainer.step, "train") as bar:
        while trainer.step < total:
            losses.append(trainer.train_step(curriculum.at(trainer.step)))
            losses = losses[-100:]
            if trainer.step % 500 == 0:
                wer = trainer.word_error_rate(list(read_shard(corpus, DEV.name)))
                dev_note = f", dev WER {wer:.1f} % at step {trainer.step}"
            if time.monotonic() - saved > CHECKPOINT_EVERY_S or trainer.step in (recipe.steps, total):
                trainer.save()
                saved = time.monotonic()
            bar.advance(f"step {trainer.step} loss {np.mean(losses):.3f}{dev_note}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return cli.run(run, build_parser(), argv)


if __name__ == "__main__":
    sys.exit(main())
