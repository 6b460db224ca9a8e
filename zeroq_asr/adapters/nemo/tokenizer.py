"""The tokenizer of a NeMo config: the text of each token of a sub-word model."""

from __future__ import annotations

from collections.abc import Mapping

from zeroq_asr.adapters.nemo.config import ConfigSection
from zeroq_asr.adapters.safe.sentencepiece import (
    BYTE,
    NORMAL,
    UNKNOWN,
    Piece,
    check_vocabulary,
    check_vocabulary_file,
    read_pieces,
    spell,
)

_BYTE_PIECE_LENGTH = len("<0x00>")


def read_subwords(section: ConfigSection, files: Mapping[str, bytes], vocabulary: tuple[str, ...]) -> tuple[str, ...]:
    """Return the text of each token; a piece that begins a word begins with a space.

    files: the tokenizer files of the archive, by the name that the config gives as `nemo:<name>`. vocabulary: the
    vocabulary of the decoder.
    As in NeMo, the SentencePiece model decides; the vocabulary and vocab.txt must agree with it. If the archive has no
    such model, which NeMo cannot open, the vocabulary alone decides.
    Raises CheckpointError (damaged, contradicting files), UnsupportedModelError (WordPiece, byte fallback, ...).
    """
    kind = section.text("type")
    if kind.lower() != "bpe":
        section.refuse("type", "bpe, a SentencePiece model", kind)
    if section.has("custom_tokenizer"):
        section.refuse("custom_tokenizer", "NeMo's own SentencePiece tokenizer", section.raw("custom_tokenizer"))
    model = _mentioned(section, "model_path", files)
    if model is None:
        if any(entry.startswith("##") for entry in vocabulary):
            section.fail("model_path", "a SentencePiece model in the file, as the vocabulary is BERT's", None)
        return spell([_piece(entry) for entry in vocabulary])
    pieces = read_pieces(model, f"{section.where}.model_path")
    check_vocabulary(pieces, vocabulary, "config.decoder.vocabulary")
    plain = _mentioned(section, "vocab_path", files)
    if plain is not None:
        check_vocabulary_file(pieces, plain, f"{section.where}.vocab_path")
    return spell(pieces)


def _mentioned(section: ConfigSection, key: str, files: Mapping[str, bytes]) -> bytes | None:
    if not section.has(key):
        return None
    return files.get(section.text(key).removeprefix("nemo:"))


def _piece(entry: str) -> Piece:
    """Return the piece with the text `entry`; its kind follows from the text."""
    is_byte = entry.startswith("<0x") and entry.endswith(">") and len(entry) == _BYTE_PIECE_LENGTH
    return Piece(entry, BYTE if is_byte else UNKNOWN if entry == "<unk>" else NORMAL)
