"""Reader of unpacked LibriSpeech: SPLIT/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt and one FLAC file per line."""

from __future__ import annotations

from pathlib import Path

from eval.errors import ManifestError
from eval.manifest import MAX_LINE_BYTES, MAX_UTTERANCES
from eval.types import Utterance

SPLITS = ("dev-clean", "dev-other", "test-clean", "test-other")
_MAX_TRANSCRIPT_BYTES = 16 << 20


def find_splits(folder: str | Path) -> dict[str, Path]:
    """Return the splits in `folder` or `folder`/LibriSpeech by name, without training sets.

    A folder that is itself a split, or that has folders of speakers only, is one split with the name of the folder.
    Raises ManifestError.
    """
    base = Path(folder)
    if not base.is_dir():
        raise ManifestError(f"{base}: expected the folder that LibriSpeech was unpacked in, found none")
    for parent in (base, base / "LibriSpeech"):
        found = {name: parent / name for name in SPLITS if (parent / name).is_dir()}
        if found:
            return found
    if next(base.glob("*/*/*.trans.txt"), None) is not None:
        return {base.name: base}
    raise ManifestError(f"{base}: expected {', '.join(SPLITS)} or SPEAKER/CHAPTER/*.trans.txt in it, found neither")


def read_librispeech(split: str | Path, limit: int | None = None) -> list[Utterance]:
    """Return the utterances of one split in the order of their names, with lower-case texts; at most `limit`.

    A line of a transcript is "SPEAKER-CHAPTER-NUMBER TEXT"; its audio is in the same folder as .flac (or .wav).
    Raises ManifestError, which names file and line.
    """
    base = Path(split)
    if limit is not None and limit < 1:
        raise ManifestError(f"{base}: expected a limit of at least 1, got {limit}")
    utterances: list[Utterance] = []
    for transcript in sorted(base.glob("*/*/*.trans.txt")):
        for number, line in enumerate(_lines(transcript), 1):
            if len(utterances) == limit:
                return utterances
            if len(utterances) == MAX_UTTERANCES:
                raise ManifestError(f"{base}: expected at most {MAX_UTTERANCES} utterances, the folder has more")
            if line.strip():
                utterances.append(_utterance(f"{transcript}, line {number}", transcript.parent, line))
    if not utterances:
        raise ManifestError(f"{base}: expected SPEAKER/CHAPTER/*.trans.txt in it, found none")
    return utterances


def _lines(transcript: Path) -> list[str]:
    try:
        if transcript.stat().st_size > _MAX_TRANSCRIPT_BYTES:
            raise ManifestError(f"{transcript}: expected at most {_MAX_TRANSCRIPT_BYTES} bytes, got more")
        return transcript.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{transcript}: cannot be read: {error}") from error


def _utterance(where: str, folder: Path, line: str) -> Utterance:
    name, _, text = line.strip().partition(" ")
    if not text.strip() or len(line) > MAX_LINE_BYTES or not name.replace("-", "").isalnum():
        raise ManifestError(f"{where}: expected 'SPEAKER-CHAPTER-NUMBER TEXT', got {line[:60]!a}")
    for ending in ("flac", "wav"):
        audio = folder / f"{name}.{ending}"
        if audio.is_file():
            return Utterance(audio, _seconds(where, audio), text.strip().lower())
    raise ManifestError(f"{where}: expected {name}.flac in the same folder, found none")


def _seconds(where: str, audio: Path) -> float:
    import soundfile

    try:
        info = soundfile.info(str(audio))
        seconds = float(info.frames / info.samplerate)
    except (RuntimeError, OSError, ZeroDivisionError) as error:
        raise ManifestError(f"{where}: {audio} cannot be read as audio: {error}") from error
    if seconds <= 0:
        raise ManifestError(f"{where}: {audio}: expected audio, got a file without samples")
    return seconds
