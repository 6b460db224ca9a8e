"""Trains the shipped model: ``python -m zeroq_asr.zoo.train --output FILE.nemo``; one command does everything.

The corpus is rendered beside the training (a child process), the model is NeMo's EncDecCTCModel, the loss its CTC loss,
the optimiser AdamW with one cosine. A checkpoint is written every few minutes; ``--resume`` goes on from it.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroq_asr import cli
from zeroq_asr.errors import ConfigError
from zeroq_asr.zoo.architecture import LABELS, model_config
from zeroq_asr.zoo.batches import Batch, Curriculum, collate
from zeroq_asr.zoo.corpus import DEV, read_shard

if TYPE_CHECKING:
    import torch

WARM_UP_STEPS = 300
REFINE_PEAK = 0.4
CHECKPOINT_EVERY_S = 120.0


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m zeroq_asr.zoo.train", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--work", type=Path, default=Path("zoo-work"), help="corpus and checkpoint go here (about 3 GB)"
    )
    parser.add_argument("--output", type=Path, required=True, help="the .nemo file to write")
    parser.add_argument("--steps", type=int, default=12000, help="optimiser steps of the main part")
    parser.add_argument("--refine", type=int, default=6500, help="further steps, with more of the harder voices")
    parser.add_argument("--lr", type=float, default=4e-3, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--dtype", choices=("bfloat16", "float32"), default="bfloat16", help="of activations in training"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --work")
    parser.add_argument("--export-only", action="store_true", help="write the .nemo from the checkpoint and stop")
    return parser


def learning_rate(step: int, total: int, refine: int, peak: float) -> float:
    """Linear warm-up, then peak * (1 + cos(pi * progress)) / 2 down to 0 at ``total``; the refinement does it again.

    The refinement's peak is lower by REFINE_PEAK, its length ``refine`` steps.
    """
    if step >= total:
        step, total, peak = step - total, max(refine, 1), peak * REFINE_PEAK
    if step < WARM_UP_STEPS:
        return peak * (step + 1) / WARM_UP_STEPS
    progress = (step - WARM_UP_STEPS) / max(total - WARM_UP_STEPS, 1)
    return peak * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


class Trainer:
    """Model, optimiser and the step they stand at."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        import torch
        from nemo.collections.asr.models import EncDecCTCModel
        from omegaconf import OmegaConf

        torch.manual_seed(arguments.seed)
        torch.set_num_threads(arguments.threads)
        self.arguments = arguments
        self.dtype = getattr(torch, arguments.dtype)
        self.model = EncDecCTCModel(OmegaConf.create(model_config()))
        decay = [p for p in self.model.parameters() if p.ndim > 1]
        others = [p for p in self.model.parameters() if p.ndim <= 1]
        groups = [{"params": decay, "weight_decay": 5e-3}, {"params": others, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=arguments.lr, betas=(0.9, 0.98))
        self.step = 0
        self.checkpoint = arguments.work / "checkpoint.pt"

    def log_probs(self, mel: torch.Tensor, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """float32 [B, T', V+1] and lengths, through NeMo's encoder in the fast layout and its decoder's weights."""
        import torch.nn.functional as F

        from zeroq_asr.zoo.speedups import fast_convolutions

        with fast_convolutions(self.dtype):
            encoded, lengths = self.model.encoder(audio_signal=mel, length=frames)
        head = self.model.decoder.decoder_layers[0]  # Conv1d with kernel 1: a matrix product in this layout
        logits = F.linear(encoded.transpose(1, 2), head.weight.squeeze(2).to(encoded.dtype)).float() + head.bias
        return logits.log_softmax(-1), lengths

    def train_step(self, batch: Batch) -> float:
        """One optimiser step; returns the loss (mean over utterances of -log p(text) per letter)."""
        import torch

        plan = self.arguments
        rate = learning_rate(self.step, plan.steps, plan.refine, plan.lr)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.model.train()
        log_probs, lengths = self.log_probs(torch.from_numpy(batch.mel), torch.from_numpy(batch.frames))
        loss = torch.nn.functional.ctc_loss(
            log_probs.transpose(0, 1),
            torch.from_numpy(batch.tokens),
            lengths,
            torch.from_numpy(batch.letters),
            blank=len(LABELS),
            reduction="mean",
            zero_infinity=True,
        )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        return float(loss.detach())

    def word_error_rate(self, items: list[tuple[Any, str]]) -> float:
        """WER in percent of greedy decoding on features."""
        import jiwer
        import torch

        self.model.eval()
        hypotheses: list[str] = []
        with torch.no_grad():
            for start in range(0, len(items), 25):
                batch = collate(items[start : start + 25])
                log_probs, lengths = self.log_probs(torch.from_numpy(batch.mel), torch.from_numpy(batch.frames))
                tokens = log_probs.argmax(-1).numpy()
                hypotheses += [_collapse(row[: int(n)]) for row, n in zip(tokens, lengths, strict=True)]
        return 100.0 * float(jiwer.wer([text for _, text in items], hypotheses))

    def save(self) -> None:
        """Writes the checkpoint; a crash leaves the old one."""
        import torch

        partial = self.checkpoint.with_suffix(".part")
        torch.save(
            {
                "model": self.model.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "step": self.step,
                "steps": self.arguments.steps,
            },
            partial,
        )
        os.replace(partial, self.checkpoint)

    def load(self) -> None:
        """Continues from the checkpoint. Raises ConfigError when there is none or it belongs to another plan."""
        import torch

        if not self.checkpoint.exists():
            raise ConfigError(f"{self.checkpoint}: no checkpoint to go on from; start without --resume")
        state = torch.load(self.checkpoint, weights_only=True)
        if state["steps"] != self.arguments.steps and not self.arguments.export_only:
            raise ConfigError(
                f"{self.checkpoint}: was planned for {state['steps']} steps, --steps says {self.arguments.steps}"
            )
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]

    def export(self, path: Path) -> None:
        """A .nemo file that NeMo's restore_from opens."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.stem}.part.nemo")
        self.model.eval().save_to(str(partial))
        os.replace(partial, path)


def _collapse(tokens: np.ndarray[Any, Any]) -> str:
    kept = tokens[np.diff(tokens, prepend=-1) != 0]
    return "".join(LABELS[token] for token in kept if token < len(LABELS)).strip()


def _start_corpus(arguments: argparse.Namespace) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "zeroq_asr.zoo.corpus",
        "--folder",
        str(arguments.work / "corpus"),
        "--seed",
        str(arguments.seed),
    ]
    # A session of its own: it can be ended with all its workers, and a desktop's scheduler shares the processor fairly.
    return subprocess.Popen(command, start_new_session=True)


def run(arguments: argparse.Namespace) -> int:
    """The whole recipe."""
    arguments.work.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(arguments)
    if arguments.resume or arguments.export_only:
        trainer.load()
    if not arguments.export_only:
        maker = _start_corpus(arguments)
        try:
            _train(trainer, maker)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(maker.pid, signal.SIGTERM)
    trainer.export(arguments.output)
    print(f"{arguments.output}: {sum(p.numel() for p in trainer.model.parameters())} parameters, {trainer.step} steps")
    return 0


def _train(trainer: Trainer, maker: subprocess.Popen[bytes]) -> None:
    arguments = trainer.arguments

    def waiting(name: str) -> None:
        if maker.poll() not in (None, 0):
            raise ConfigError(
                f"the corpus maker stopped (exit code {maker.returncode}) before shard {name} was written"
            )

    curriculum = Curriculum(arguments.work / "corpus", arguments.seed, arguments.steps, waiting)
    saved, losses, dev_note = time.monotonic(), [], ""
    total = arguments.steps + arguments.refine
    with cli.progress(total - trainer.step, "train") as bar:
        while trainer.step < total:
            losses.append(trainer.train_step(curriculum.at(trainer.step)))
            losses = losses[-100:]
            if trainer.step % 500 == 0:
                wer = trainer.word_error_rate(list(read_shard(arguments.work / "corpus", DEV.name)))
                dev_note = f", dev WER {wer:.1f} % at step {trainer.step}"
            if time.monotonic() - saved > CHECKPOINT_EVERY_S or trainer.step in (arguments.steps, total):
                trainer.save()
                saved = time.monotonic()
            bar.advance(f"step {trainer.step} loss {np.mean(losses):.3f}{dev_note}")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line entry."""
    return cli.run(run, build_parser(), argv)


if __name__ == "__main__":
    sys.exit(main())
