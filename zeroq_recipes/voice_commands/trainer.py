"""Training of one model: NeMo's class, CTC loss, AdamW, checkpoints that resume bit for bit, and the export."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroq_asr.errors import ConfigError
from zeroq_asr.models.configs.presets import model_config
from zeroq_recipes.voice_commands.batches import Batch, Example, collate
from zeroq_recipes.voice_commands.tokens import Letters, Pieces, Tokens, train_tokenizer
from zeroq_recipes.voice_commands.training_recipes import TrainingRecipe

if TYPE_CHECKING:
    import torch


class Trainer:
    """Model, optimiser and current step; ``work`` is the folder of the tokenizer and the checkpoint."""

    def __init__(
        self, recipe: TrainingRecipe, work: Path, *, seed: int, threads: int = 1, dtype: str = "bfloat16"
    ) -> None:
        import torch

        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        self.recipe = recipe
        self.dtype = getattr(torch, dtype)
        self.tokens, self.model = _build(recipe, work, seed)
        decay = [p for p in self.model.parameters() if p.ndim > 1]
        others = [p for p in self.model.parameters() if p.ndim <= 1]
        groups = [{"params": decay, "weight_decay": 5e-3}, {"params": others, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=recipe.peak, betas=(0.9, 0.98), fused=recipe.attention)
        self.step = 0
        self.checkpoint = work / f"{recipe.name}.checkpoint.pt"

    def log_probs(self, mel: torch.Tensor, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return log-probabilities float32 [B, T', V+1] and lengths int64 [B] for mel [B, 64, T] and frames [B].

        The encoder runs in the faster layout of `conformer_cpu_training` or `speedups`.
        """
        import torch.nn.functional as F

        from zeroq_recipes.voice_commands import conformer_cpu_training
        from zeroq_recipes.voice_commands.speedups import fast_convolutions

        if self.recipe.attention:
            encoded, lengths = conformer_cpu_training.encode(self.model.encoder, mel, frames, self.dtype)
        else:
            with fast_convolutions(self.dtype):
                encoded, lengths = self.model.encoder(audio_signal=mel, length=frames)
            encoded = encoded.transpose(1, 2)
        head = self.model.decoder.decoder_layers[0]  # Conv1d with kernel 1: a matrix product in this layout
        logits = F.linear(encoded, head.weight.squeeze(2).to(encoded.dtype)).float() + head.bias
        return logits.log_softmax(-1), lengths

    def train_step(self, batch: Batch) -> float:
        """Make one optimiser step; return the loss (mean over utterances of -log p(text) per token)."""
        import torch

        rate = self.recipe.learning_rate(self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.model.train()
        log_probs, lengths = self.log_probs(torch.from_numpy(batch.mel), torch.from_numpy(batch.frames))
        loss = torch.nn.functional.ctc_loss(
            log_probs.transpose(0, 1),
            torch.from_numpy(batch.tokens),
            lengths,
            torch.from_numpy(batch.letters),
            blank=self.tokens.blank,
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
        """Return the WER in percent of greedy decoding on (features, text) pairs."""
        import jiwer
        import torch

        self.model.eval()
        hypotheses: list[str] = []
        with torch.no_grad():
            for start in range(0, len(items), 25):
                part: list[Example] = [(mel, self.tokens.encode(text)) for mel, text in items[start : start + 25]]
                batch = collate(part)
                log_probs, lengths = self.log_probs(torch.from_numpy(batch.mel), torch.from_numpy(batch.frames))
                tokens = log_probs.argmax(-1).numpy()
                hypotheses += [self._collapse(row[: int(n)]) for row, n in zip(tokens, lengths, strict=True)]
        return 100.0 * float(jiwer.wer([text for _, text in items], hypotheses))

    def _collapse(self, tokens: np.ndarray[Any, Any]) -> str:
        kept = tokens[np.diff(tokens, prepend=-1) != 0]
        return self.tokens.decode([int(token) for token in kept if token < self.tokens.blank])

    def save(self) -> None:
        """Write the checkpoint; if this fails, the old one survives."""
        import torch

        partial = self.checkpoint.with_suffix(".part")
        torch.save(
            {
                "model": self.model.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "step": self.step,
                "steps": self.recipe.steps,
            },
            partial,
        )
        os.replace(partial, self.checkpoint)

    def load(self, *, allow_other_steps: bool = False) -> None:
        """Restore the checkpoint. Raises ConfigError if there is none, or if it is for another number of steps.

        allow_other_steps: accept a checkpoint for another number of steps.
        """
        import torch

        if not self.checkpoint.exists():
            raise ConfigError(f"{self.checkpoint}: expected a checkpoint to resume from, got none; omit --resume")
        state = torch.load(self.checkpoint, weights_only=True)
        if state["steps"] != self.recipe.steps and not allow_other_steps:
            raise ConfigError(
                f"{self.checkpoint}: expected a checkpoint for {self.recipe.steps} steps, got one for {state['steps']};"
                " give the same --steps, or omit --resume"
            )
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]

    def export(self, path: Path) -> None:
        """Write a .nemo file that NeMo's restore_from opens."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.recipe.pieces:
            self.model.cfg.tokenizer.dir = "tokenizer"  # the file contains its tokenizer; store no local path
        partial = path.with_name(f".{path.stem}.part.nemo")
        self.model.eval().save_to(str(partial))
        os.replace(partial, path)


def _build(recipe: TrainingRecipe, work: Path, seed: int) -> tuple[Tokens, Any]:
    """Return the tokens and a newly initialised NeMo model of a recipe; torch's global seed decides the weights."""
    from nemo.collections.asr.models import EncDecCTCModel, EncDecCTCModelBPE
    from omegaconf import OmegaConf

    if not recipe.pieces:
        return Letters(), EncDecCTCModel(OmegaConf.create(model_config(recipe.name)))
    folder = work / f"{recipe.name}.tokenizer"
    train_tokenizer(folder, recipe.pieces, seed)
    return Pieces(folder), EncDecCTCModelBPE(OmegaConf.create(model_config(recipe.name, folder)))
