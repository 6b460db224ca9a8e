"""Reader of SentencePiece model files: the list of pieces and the text of each.

The file is a protocol buffer. Field 1 of the message is a piece; its own field 1 is its text and field 3 its kind. Only
these are read, with limits on all sizes; the rest (scores, settings of training and normalisation) is skipped.
Formats: protobuf.dev/programming-guides/encoding; sentencepiece_model.proto in github.com/google/sentencepiece.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from zeroq_asr.errors import CheckpointError, UnsupportedModelError

MAX_PIECES = 65_536
MAX_PIECE_BYTES = 256
WORD_START = "\u2581"
UNKNOWN_TEXT = " \u2047 "
"""The text of SentencePiece's unknown piece."""

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5


@dataclass(frozen=True)
class Piece:
    """One piece: its text, with U+2581 at the start of a word, and its kind."""

    text: str
    kind: int = NORMAL


def read_pieces(data: bytes, where: str) -> tuple[Piece, ...]:
    """Return the pieces of a SentencePiece model by id. Raises CheckpointError (another file, sizes out of limits)."""
    pieces: list[Piece] = []
    for field, value in _fields(data, where):
        if field == 1 and isinstance(value, bytes):
            if len(pieces) == MAX_PIECES:
                raise CheckpointError(f"{where}: expected at most {MAX_PIECES:,} pieces, got more")
            pieces.append(_piece(value, f"{where}, piece {len(pieces)}"))
    if not pieces:
        raise CheckpointError(f"{where}: expected a SentencePiece model, got a file without pieces")
    return tuple(pieces)


def _piece(data: bytes, where: str) -> Piece:
    text, kind = "", NORMAL
    for field, value in _fields(data, where):
        if field == 1 and isinstance(value, bytes):
            try:
                text = value[: MAX_PIECE_BYTES + 1].decode("utf-8")
            except UnicodeDecodeError as error:
                raise CheckpointError(f"{where}: expected UTF-8 text, got {value[:20]!r}") from error
        elif field == 3 and isinstance(value, int):
            kind = value
    if not 1 <= len(text.encode()) <= MAX_PIECE_BYTES or not NORMAL <= kind <= BYTE:
        raise CheckpointError(
            f"{where}: expected 1 to {MAX_PIECE_BYTES} bytes and kind 1 to 6, got {text[:20]!r} and {kind}"
        )
    return Piece(text, kind)


def _fields(data: bytes, where: str) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each field of a message: varints as int, all others as bytes."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position, where)
        wire, size = key & 7, 0
        if wire == _VARINT:
            number, position = _varint(data, position, where)
            yield key >> 3, number
            continue
        if wire == _BYTES:
            size, position = _varint(data, position, where)
        elif wire in (_EIGHT_BYTES, _FOUR_BYTES):
            size = 8 if wire == _EIGHT_BYTES else 4
        else:
            raise CheckpointError(f"{where}: expected a SentencePiece model, got a field of wire type {wire}")
        if size > len(data) - position:
            raise CheckpointError(
                f"{where}: expected {size:,} more bytes, got {len(data) - position:,}; is the file truncated?"
            )
        yield key >> 3, data[position : position + size]
        position += size


def _varint(data: bytes, position: int, where: str) -> tuple[int, int]:
    """Return a base-128 number of at most 10 bytes and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            break
        byte, position = data[position], position + 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise CheckpointError(f"{where}: expected a SentencePiece model, got a number without end at byte {position}")


def spell(pieces: Sequence[Piece]) -> tuple[str, ...]:
    """Return what each piece adds to the transcript: U+2581 as a space, control pieces nothing.

    Raises UnsupportedModelError for byte pieces: a character consists of several of them, so they have no text each.
    """
    texts = []
    for index, piece in enumerate(pieces):
        if piece.kind == BYTE:
            raise UnsupportedModelError(
                f"tokenizer: piece {index} ({piece.text[:20]!r}) is a byte; supported: pieces of text, no byte fallback"
            )
        if piece.kind in (UNKNOWN, CONTROL):
            texts.append(UNKNOWN_TEXT if piece.kind == UNKNOWN else "")
        else:
            texts.append(piece.text.replace(WORD_START, " "))
    return tuple(texts)


def check_vocabulary(pieces: Sequence[Piece], vocabulary: Sequence[str], where: str) -> None:
    """Raise CheckpointError unless `vocabulary` names the same pieces in the same order.

    Both spellings of NeMo are accepted: the pieces themselves, and BERT's spelling, in which a piece at the start of a
    word has no U+2581 and every other piece begins with "##".
    """
    if len(pieces) != len(vocabulary):
        raise CheckpointError(f"{where}: expected the {len(pieces)} pieces of the tokenizer, got {len(vocabulary)}")
    for index, (piece, entry) in enumerate(zip(pieces, vocabulary, strict=True)):
        if entry not in (piece.text, bert_spelling(piece)):
            raise CheckpointError(
                f"{where}[{index}]: expected the tokenizer's piece {piece.text[:40]!r}, got {entry[:40]!r}"
            )


def bert_spelling(piece: Piece) -> str:
    """Return the spelling of a piece in NeMo's vocab.txt."""
    if piece.kind in (UNKNOWN, CONTROL):
        return piece.text
    if piece.text.startswith(WORD_START):
        return piece.text[1:] or WORD_START
    return f"##{piece.text}"


def check_vocabulary_file(pieces: Sequence[Piece], data: bytes, where: str) -> None:
    """Raise CheckpointError unless a vocab.txt, one piece per line, names the same pieces in the same order.

    NeMo omits special pieces there; files with them are accepted, too.
    """
    try:
        lines = [line for line in data.decode("utf-8").replace("\r\n", "\n").split("\n") if line]
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{where}: expected UTF-8 text, got byte {data[error.start]:#04x}") from error
    plain = [piece for piece in pieces if piece.kind not in (UNKNOWN, CONTROL)]
    if len(lines) < len(pieces) and plain and len(lines) < len(plain):
        # In some files the single U+2581 is an empty line.
        plain = [piece for piece in plain if piece.text != WORD_START]
    check_vocabulary(pieces if len(lines) == len(pieces) else plain, lines, where)
