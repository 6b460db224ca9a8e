"""The supported encoder families: which checkpoints each one takes, and which function builds its graph.

To add a family, write its builder in a file of its own and add one entry to FAMILIES.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from zeroq_asr.adapters.nemo.config import ConfigSection
    from zeroq_asr.adapters.nemo.graph_builder import NemoGraphBuilder, TensorRef

    AddEncoder = Callable[[ConfigSection, NemoGraphBuilder, int], tuple[TensorRef, str]]

_MODULES = "nemo.collections.asr.modules"


@dataclass(frozen=True)
class EncoderFamily:
    """The checkpoints whose encoder is an instance of one class.

    titles: the published names, as messages print them; `FloatModel.family` is one of them in lower case.
    targets: the spellings of the encoder's class in a config. They are compared with the config, never imported.
    attention: whether the encoder has attention layers.
    builder: "module:function" of a function (encoder section, graph builder, mel bins) -> (output, family name) that
    raises CheckpointError or UnsupportedModelError. It is imported when a checkpoint needs it.
    """

    titles: tuple[str, ...]
    targets: tuple[str, ...]
    attention: bool
    builder: str

    def load_builder(self) -> AddEncoder:
        """Import and return the builder."""
        module, function = self.builder.split(":")
        return cast("AddEncoder", getattr(import_module(module), function))


FAMILIES: tuple[EncoderFamily, ...] = (
    EncoderFamily(
        ("QuartzNet", "Jasper", "Citrinet"),
        (f"{_MODULES}.ConvASREncoder", f"{_MODULES}.conv_asr.ConvASREncoder"),
        attention=False,
        builder="zeroq_asr.adapters.nemo.convolutional:add_conv_encoder",
    ),
    EncoderFamily(
        ("Conformer", "FastConformer"),
        (f"{_MODULES}.ConformerEncoder", f"{_MODULES}.conformer_encoder.ConformerEncoder"),
        attention=True,
        builder="zeroq_asr.adapters.nemo.conformer:add_conformer_encoder",
    ),
)


def encoder_targets() -> tuple[str, ...]:
    """Return every supported spelling of an encoder class."""
    return tuple(target for family in FAMILIES for target in family.targets)


def find_family(target: str) -> EncoderFamily | None:
    """Return the family whose encoder class is spelled `target`, None if there is none."""
    return next((family for family in FAMILIES if target in family.targets), None)


def family_names() -> tuple[str, ...]:
    """Return the values that `FloatModel.family` can have."""
    return tuple(title.lower() for family in FAMILIES for title in family.titles)


def family_titles(attention_only: bool = False) -> str:
    """Return the published names as an enumeration, e.g. "Conformer and FastConformer"."""
    titles = [title for family in FAMILIES if family.attention or not attention_only for title in family.titles]
    return f"{', '.join(titles[:-1])} and {titles[-1]}"
