"""The integer model in memory: a program, the scale of its input, a front end and a vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from int_kernels import Conv1d, Conv2d, Program
from zeroq_asr.errors import FileError
from zeroq_asr.frontend.spec import FrontendSpec


@dataclass(frozen=True)
class IntegerModel:
    """An integer program that transcribes.

    program: input "mel" codes [n_mels, T], outputs (logits int32 [V + 1, T'], tokens int32 [1, T']). input_scale: real
    = input_scale * code. vocabulary: token id -> text; the blank is the last id, len(vocabulary). provenance: how the
    file came to be (JSON).
    """

    program: Program
    input_scale: float
    frontend: FrontendSpec
    vocabulary: tuple[str, ...]
    provenance: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "provenance", MappingProxyType(dict(self.provenance)))

    @property
    def weights(self) -> dict[int, int]:
        """How many weights have how many bits, the fewest bits first."""
        counts: dict[int, int] = {}
        for step in self.program.steps:
            if isinstance(step, Conv1d | Conv2d):
                counts[step.weight_bits] = counts.get(step.weight_bits, 0) + step.weight.size
        return dict(sorted(counts.items()))

    @property
    def mean_bits(self) -> float:
        """sum_b b count_b / sum_b count_b over the weights; 0 where there are none."""
        counts = self.weights
        return sum(bits * count for bits, count in counts.items()) / max(1, sum(counts.values()))

    @property
    def bits(self) -> tuple[int, int]:
        """(largest number of weight bits, bits of the input codes)."""
        return max(self.weights, default=0), self.program.spec(self.program.input).type.bits


def check_model(model: IntegerModel) -> IntegerModel:
    """Return `model`. Raises FileError where program, front end and vocabulary do not fit together."""
    program, tokens = model.program, len(model.vocabulary)
    if len(program.outputs) != 2 or program.spec(program.outputs[0]).channels != tokens + 1:
        channels = [program.spec(name).channels for name in program.outputs]
        raise FileError(
            f"expected two outputs, the first with {tokens + 1} logits (the vocabulary and a blank), got {channels}"
        )
    if program.spec(program.input).channels != model.frontend.n_mels:
        raise FileError(
            f"expected as many input channels as mel bins ({model.frontend.n_mels}), got "
            f"{program.spec(program.input).channels}"
        )
    return model
