"""Render the corpus: training shards of log-mel features, and test sets of FLAC files with NeMo manifests.

A shard is two files, ``NAME.npy`` (float16 [frames, 64], all utterances concatenated) and ``NAME.json`` (texts and
numbers of frames). Each utterance has its own random generator, seeded by (seed, shard, index), so the result does not
depend on the order of work.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zeroq_asr import cli
from zeroq_asr.errors import ConfigError
from zeroq_asr.files import write_atomically
from zeroq_asr.models.configs.presets import N_MELS, model_config
from zeroq_recipes.voice_commands.grammar import sentences
from zeroq_recipes.voice_commands.voices import (
    FLITE_VOICES,
    OTHER_VOICES,
    SAMPLE_RATE_HZ,
    TRAINING_VOICES,
    Voice,
    add_noise,
    flac_bytes,
    render,
    reverberate,
    to_pcm16,
)


@dataclass(frozen=True)
class ShardSpec:
    """One shard: split and number of its sentences, short phrases or sentences, and the share of noisy utterances."""

    name: str
    split: str
    count: int
    short: bool
    noisy: float
    voices: tuple[Voice, ...] = TRAINING_VOICES


def training_shards() -> tuple[ShardSpec, ...]:
    """Return the shards in order: short phrases, whole sentences, noisier sentences, more of the flite voices."""
    count = 4000
    return (
        *(ShardSpec(f"short{i}", "train", count, True, 0.1) for i in range(4)),
        *(ShardSpec(f"clean{i}", "train", count, False, 0.2) for i in range(4)),
        *(ShardSpec(f"mixed{i}", "train", count, False, 0.6) for i in range(5)),
        *(ShardSpec(f"flite{i}", "train", count, False, 0.3, FLITE_VOICES) for i in range(2)),
    )


DEV = ShardSpec("dev", "dev", 200, False, 0.0)
TEST_SETS: dict[str, tuple[tuple[Voice, ...], float]] = {"clean": (TRAINING_VOICES, 0.0), "other": (OTHER_VOICES, 1.0)}


def shard_texts(spec: ShardSpec, seed: int) -> list[str]:
    """Return the sentences of a shard, in order."""
    return list(itertools.islice(sentences(spec.split, _mix(seed, spec.name), short=spec.short), spec.count))


def texts_of_set(name: str, count: int, seed: int) -> list[str]:
    """Return distinct sentences of the held-out split; the test sets take alternate sentences, so none is in two."""
    stream = dict.fromkeys(itertools.islice(sentences("test", seed), 40 * count))
    fitting = [text for text in stream if 16 <= len(text) <= 40]
    return fitting[sorted(TEST_SETS).index(name) :: len(TEST_SETS)][:count]


def _mix(seed: int, name: str) -> int:
    return int.from_bytes(f"{seed}/{name}".encode(), "little") % (1 << 61)


def utterance(
    text: str,
    voices: tuple[Voice, ...],
    rng: np.random.Generator,
    *,
    noisy: float,
    peak: tuple[float, float] = (0.04, 0.4),
) -> NDArray[np.int16]:
    """Return one rendered utterance, int16 at 16 kHz; with probability ``noisy`` reverberant and at 13 to 27 dB SNR."""
    voice = voices[int(rng.integers(len(voices)))]
    samples = render(text, voice, rng, spread=0.1)
    if rng.random() < noisy:
        samples = reverberate(samples, rng, rng.uniform(0.1, 0.3), rng.uniform(0.05, 0.3))
        samples = add_noise(samples, rng, rng.uniform(13, 27))
    return to_pcm16(samples, float(np.exp(rng.uniform(np.log(peak[0]), np.log(peak[1])))))


class FeatureMaker:
    """Computes log-mel features float16 [frames, 64] with NeMo's own preprocessor, without dither."""

    def __init__(self) -> None:
        import torch
        from nemo.collections.asr.modules import AudioToMelSpectrogramPreprocessor

        torch.set_num_threads(1)
        settings = {key: value for key, value in model_config()["preprocessor"].items() if key != "_target_"}
        self._module = AudioToMelSpectrogramPreprocessor(**{**settings, "dither": 0.0}).eval()

    def __call__(self, pcm: NDArray[np.int16]) -> NDArray[np.float16]:
        import torch

        samples = torch.from_numpy(pcm.astype(np.float32) / 32768.0)[None]
        with torch.no_grad():
            mel, length = self._module(input_signal=samples, length=torch.tensor([samples.shape[1]]))
        return np.ascontiguousarray(mel[0, :, : int(length[0])].numpy().T.astype(np.float16))


_maker: FeatureMaker | None = None


def _features(job: tuple[ShardSpec, int, str, int]) -> NDArray[np.float16]:
    global _maker
    if _maker is None:
        _maker = FeatureMaker()
    spec, seed, text, index = job
    rng = np.random.default_rng([_mix(seed, spec.name), index])
    return _maker(utterance(text, spec.voices, rng, noisy=spec.noisy))


def build_shards(
    folder: Path, specs: tuple[ShardSpec, ...], seed: int, workers: int, report: Callable[[str], None]
) -> None:
    """Write the missing shards. A shard appears complete or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    todo = [spec for spec in specs if not (folder / f"{spec.name}.json").exists()]
    if not todo:
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for spec in todo:
            texts = shard_texts(spec, seed)
            jobs = [(spec, seed, text, index) for index, text in enumerate(texts)]
            arrays = list(pool.map(_features, jobs, chunksize=50))
            _write_shard(folder, spec.name, texts, arrays)
            report(f"corpus: {spec.name}, {len(texts)} utterances, {sum(map(len, arrays)) / 360000:.2f} h")


def _write_shard(folder: Path, name: str, texts: list[str], arrays: list[NDArray[np.float16]]) -> None:
    partial = folder / f"{name}.npy.part"
    with partial.open("wb") as file:
        np.save(file, np.concatenate(arrays))
    os.replace(partial, folder / f"{name}.npy")
    record = {"texts": texts, "frames": [len(array) for array in arrays]}
    write_atomically(folder / f"{name}.json", json.dumps(record).encode())


def read_shard(folder: Path, name: str) -> Iterator[tuple[NDArray[np.float16], str]]:
    """Yield (features [frames, 64], memory-mapped, and text) of each utterance. Raises ConfigError."""
    record: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    data = np.load(folder / f"{name}.npy", mmap_mode="r")
    ends = np.cumsum(record["frames"])
    if data.shape != (int(ends[-1]), N_MELS):
        raise ConfigError(
            f"{folder / name}.npy: expected shape ({ends[-1]}, {N_MELS}) as its index says, got {data.shape}; "
            "delete both files"
        )
    for end, frames, text in zip(ends, record["frames"], record["texts"], strict=True):
        yield data[end - frames : end], text


def write_test_set(folder: Path, name: str, count: int, seed: int) -> None:
    """Write ``folder``/NNN.flac and ``folder``/manifest.json, with paths relative to the manifest."""
    voices, noisy = TEST_SETS[name]
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for index, text in enumerate(texts_of_set(name, count, seed)):
        rng = np.random.default_rng([_mix(seed, name), index])
        # Quiet recordings need fewer bits per sample in FLAC; after normalisation their features are the same.
        pcm = utterance(text, voices, rng, noisy=noisy, peak=(0.05, 0.12))
        write_atomically(folder / f"{index:03d}.flac", flac_bytes(pcm))
        lines.append(
            json.dumps(
                {"audio_filepath": f"{index:03d}.flac", "duration": round(len(pcm) / SAMPLE_RATE_HZ, 4), "text": text}
            )
        )
    write_atomically(folder / "manifest.json", ("\n".join(lines) + "\n").encode())


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``python -m zeroq_recipes.voice_commands.corpus``: write the training shards, or the two test sets."""
    parser = argparse.ArgumentParser(
        prog="python -m zeroq_recipes.voice_commands.corpus", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument(
        "--test-sets", type=int, metavar="N", help="write clean/ and other/ of N utterances each instead"
    )

    def work(arguments: argparse.Namespace) -> int:
        if arguments.test_sets:
            for name in TEST_SETS:
                write_test_set(arguments.folder / name, name, arguments.test_sets, arguments.seed)
        else:
            specs = (DEV, *training_shards())
            build_shards(
                arguments.folder, specs, arguments.seed, arguments.workers, lambda line: print(line, flush=True)
            )
        return 0

    return cli.run(work, parser, argv)


if __name__ == "__main__":
    sys.exit(main())
