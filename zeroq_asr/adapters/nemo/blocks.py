"""The `jasper` list of a NeMo encoder config as typed blocks, and the vocabulary of the decoder."""

from __future__ import annotations

from dataclasses import dataclass

from zeroq_asr.adapters.nemo.config import ConfigSection

MAX_BLOCKS = 256
MAX_REPEAT = 64
MAX_UNITS = 2048
MAX_CHANNELS = 16_384
MAX_KERNEL = 4096
MAX_CONTEXT = 1_000_000

_ADDING = ("add", "stride_add")
_CONTEXTS = ("se_context_size", "se_context_window")


@dataclass(frozen=True)
class Block:
    """The checked settings of one block: `repeat` units of `filters` channels and their residual branches.

    se_ratio: reduction ratio of squeeze-and-excite, 0 if there is none.
    """

    filters: int
    repeat: int
    kernel: int
    stride: int
    dilation: int
    residual: bool
    dense: bool
    separable: bool
    groups: int
    heads: int
    residual_mode: str
    stride_last: bool
    se_ratio: int


def read_blocks(encoder: ConfigSection) -> list[Block]:
    """Return the blocks of the encoder, at most MAX_UNITS units in all.

    Raises CheckpointError, UnsupportedModelError.
    """
    mode = encoder.text("residual_mode", "add")
    blocks = []
    for section in encoder.sections("jasper", MAX_BLOCKS):
        mode = section.text("residual_mode", mode)  # as in NeMo, it applies until a block sets another
        blocks.append(_read_block(section, mode))
    encoder.finish()
    units = sum(block.repeat for block in blocks)
    if units > MAX_UNITS:
        encoder.fail("jasper", f"at most {MAX_UNITS} units", units)
    return blocks


def _read_block(section: ConfigSection, residual_mode: str) -> Block:
    factor = section.number("kernel_size_factor", 0.01, 100, 1.0)
    section.ignore("dropout", "residual_mode")
    if section.integer("future_context", -1, MAX_KERNEL, -1) >= 0:
        section.refuse("future_context", "-1, the same context on both sides", section.raw("future_context"))
    # NeMo makes every kernel odd, with and without a factor.
    kernel = max(int(section.single("kernel", 1, MAX_KERNEL) * factor), 1) | 1
    block = Block(
        filters=section.integer("filters", 1, MAX_CHANNELS),
        repeat=section.integer("repeat", 1, MAX_REPEAT),
        kernel=kernel,
        stride=section.single("stride", 1, 64),
        dilation=section.single("dilation", 1, 1024),
        residual=section.flag("residual", True),
        dense=section.flag("residual_dense", False),
        separable=section.flag("separable", False),
        groups=section.integer("groups", 1, MAX_CHANNELS, 1),
        heads=section.integer("heads", -1, MAX_CHANNELS, -1),
        residual_mode=residual_mode,
        stride_last=section.flag("stride_last", False),
        se_ratio=_read_squeeze_excite(section),
    )
    if block.residual and residual_mode not in _ADDING:
        section.refuse("residual_mode", "add, stride_add", residual_mode)
    if block.stride > 1 and block.dilation > 1:
        section.fail("dilation", "1 when the stride is above 1", block.dilation)
    if kernel > MAX_KERNEL:
        section.fail("kernel_size_factor", f"kernels of at most {MAX_KERNEL}", factor)
    section.finish()
    return block


def _read_squeeze_excite(section: ConfigSection) -> int:
    ratio = section.integer("se_reduction_ratio", 1, MAX_CHANNELS, 8)
    # NeMo before 1.0 wrote se_context_window.
    contexts = {key: section.integer(key, -MAX_CONTEXT, MAX_CONTEXT, -1) for key in _CONTEXTS}
    section.ignore("se_interpolation_mode")  # it applies to limited contexts only
    if not section.flag("se", False):
        return 0
    for key, context in contexts.items():
        if context >= 0:
            section.refuse(key, "-1, the whole utterance", context)
    return ratio


def read_vocabulary(section: ConfigSection) -> tuple[str, ...]:
    """Return the vocabulary of the decoder: unique strings of 1 to 64 characters. Raises CheckpointError."""
    classes = section.integer("num_classes", -1, 65_536, -1)
    vocabulary = section.raw("vocabulary")
    if not isinstance(vocabulary, list) or not 1 <= len(vocabulary) <= 65_536:
        section.fail("vocabulary", "a list of texts", vocabulary)
    pieces = []
    for index, piece in enumerate(vocabulary):
        if not isinstance(piece, str) or not 1 <= len(piece) <= 64:
            section.fail(f"vocabulary[{index}]", "a text of 1 to 64 characters", piece)
        pieces.append(piece)
    if classes > 0 and classes != len(pieces):
        section.fail("num_classes", f"{len(pieces)}, the size of the vocabulary", classes)
    if len(set(pieces)) != len(pieces):
        section.fail("vocabulary", "every text once", "one of them twice")
    return tuple(pieces)
