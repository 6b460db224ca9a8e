"""LibriSpeech's folders: order, texts, lengths, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from eval.errors import ManifestError
from eval.librispeech import find_splits, read_librispeech

CHAPTERS = {
    "84/121123": ["84-121123-0000 GO DO YOU HEAR", "84-121123-0001 BUT IN LESS THAN FIVE MINUTES"],
    "1272/128104": ["1272-128104-0000 MISTER QUILTER IS THE APOSTLE"],
}


def unpack(folder: Path) -> Path:
    """A split of three utterances of 0.3, 0.4 and 0.5 s in `folder`."""
    seconds = iter((3, 4, 5))
    for chapter, lines in CHAPTERS.items():
        place = folder / chapter
        place.mkdir(parents=True)
        (place / f"{chapter.replace('/', '-')}.trans.txt").write_text("\n".join(lines) + "\n")
        for line in lines:
            soundfile.write(place / f"{line.split()[0]}.flac", np.zeros(1600 * next(seconds)), 16000)
    return folder


def test_utterances_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    unpack(tmp_path / "LibriSpeech" / "test-clean")
    (split,) = find_splits(tmp_path).values()
    found = read_librispeech(split)
    assert [u.text for u in found] == [
        "mister quilter is the apostle",
        "go do you hear",
        "but in less than five minutes",
    ]
    assert [u.duration_s for u in found] == [0.5, 0.3, 0.4]
    assert [u.audio_path.stem for u in found] == ["1272-128104-0000", "84-121123-0000", "84-121123-0001"]
    assert read_librispeech(split, limit=2) == found[:2]


def test_splits_are_found_wherever_the_archive_was_unpacked(tmp_path: Path) -> None:
    unpack(tmp_path / "test-other")
    unpack(tmp_path / "test-clean")
    (tmp_path / "train-clean-100").mkdir()
    assert list(find_splits(tmp_path)) == ["test-clean", "test-other"]
    assert list(find_splits(tmp_path / "test-other")) == ["test-other"]


def test_what_is_not_librispeech_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="found none"):
        find_splits(tmp_path / "nowhere")
    with pytest.raises(ManifestError, match="test-clean"):
        find_splits(tmp_path)
    with pytest.raises(ManifestError, match="found none"):
        read_librispeech(tmp_path)


@pytest.mark.parametrize(
    "line", ["84-121123-0009 NO SUCH AUDIO", "84-121123-0000", "../../x SECRETS", "a/b TEXT", "\x00 TEXT"]
)
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    unpack(tmp_path)
    transcript = tmp_path / "84/121123/84-121123.trans.txt"
    transcript.write_text(f"{CHAPTERS['84/121123'][0]}\n{line}\n")
    with pytest.raises(ManifestError, match=r"84-121123\.trans\.txt, line 2"):
        read_librispeech(tmp_path)
