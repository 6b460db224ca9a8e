"""`python -m zeroq_asr.verify MODEL`: check on this machine the properties that a quantized file guarantees.

It has no float tensor. No accumulator can overflow int32. On speech the compiled kernels and the numpy reference give
the same bytes, for any number of threads and for single utterances as well as for batches.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from zeroq_asr.cli import add_common_flags, progress, run
from zeroq_asr.config import THREADS
from zeroq_asr.errors import ConfigError, FileError

if TYPE_CHECKING:
    from zeroq_asr.artifact import IntegerModel

Features = npt.NDArray[np.float32]
Logits = npt.NDArray[np.int32]
Runner = Callable[[Sequence[Features]], list[Logits]]

INT32_MAX = 2**31 - 1
_BATCH = 8
"""Utterances of a batch."""


@dataclass(frozen=True)
class Agreement:
    """The comparison of the logits of one way of running with those of the reference, one utterance at a time."""

    way: str
    utterances: int
    bytes_compared: int
    bytes_differing: int


@dataclass(frozen=True)
class Proof:
    """The result. sha256: of the logits of the reference, int32 little-endian, utterance after utterance."""

    float_tensors: tuple[str, ...]
    largest_accumulator: int
    overflowing: tuple[str, ...]
    agreements: tuple[Agreement, ...]
    sha256: str

    @property
    def holds(self) -> bool:
        """Whether all guaranteed properties hold."""
        differing = sum(agreement.bytes_differing for agreement in self.agreements)
        return not self.float_tensors and not self.overflowing and differing == 0


def verify(model: IntegerModel, features: Iterable[Features], threads: int = THREADS) -> Proof:
    """Check the program, and run every utterance, float32 [C, T], in all ways.

    Raises ConfigError without utterances, KernelError if the compiled kernels are not built.
    """
    from zeroq_asr.analyses.accumulator_bounds import bound_accumulators
    from zeroq_asr.analyses.integer_only import find_floats
    from zeroq_asr.runtime.integer_executor import IntegerExecutor

    bounds = bound_accumulators(model.program)
    reach = {name: max(-bound.lo, bound.hi) for name, bound in bounds.items()}
    reference = IntegerExecutor(model, backend="reference", threads=1)
    one, many = (IntegerExecutor(model, backend="native", threads=n) for n in (1, max(2, threads)))
    ways: dict[str, Runner] = {
        "native, 1 thread, one by one": lambda batch: [one.run([mel])[0] for mel in batch],
        f"native, 1 thread, in batches of {_BATCH}": one.run,
        f"native, {max(2, threads)} threads, one by one": lambda batch: [many.run([mel])[0] for mel in batch],
        f"native, {max(2, threads)} threads, in batches of {_BATCH}": many.run,
    }
    agreements, sha256 = compare_ways(lambda batch: [reference.run([mel])[0] for mel in batch], ways, features)
    return Proof(
        float_tensors=find_floats(model.program),
        largest_accumulator=max(reach.values(), default=0),
        overflowing=tuple(name for name, most in reach.items() if most > INT32_MAX),
        agreements=agreements,
        sha256=sha256,
    )


def compare_ways(
    reference: Runner, ways: dict[str, Runner], features: Iterable[Features]
) -> tuple[tuple[Agreement, ...], str]:
    """Return the byte-wise comparison of every way with the reference, and the SHA-256 of the reference logits."""
    digest = hashlib.sha256()
    compared, differing = dict.fromkeys(ways, 0), dict.fromkeys(ways, 0)
    utterances = 0
    for batch in _batches(features):
        expected = reference(batch)
        utterances += len(batch)
        for logits in expected:
            digest.update(logits.astype("<i4").tobytes())
        for way, runner in ways.items():
            for wanted, found in zip(expected, runner(batch), strict=True):
                compared[way] += wanted.nbytes
                differing[way] += count_differing_bytes(wanted, found)
    if not utterances:
        raise ConfigError("verify: expected at least one utterance to run, got none")
    return tuple(Agreement(way, utterances, compared[way], differing[way]) for way in ways), digest.hexdigest()


def count_differing_bytes(wanted: Logits, found: Logits) -> int:
    """Return the number of bytes that differ; if shape or dtype differ, all bytes of the larger array."""
    if wanted.shape != found.shape or wanted.dtype != found.dtype:
        return max(wanted.nbytes, found.nbytes)
    a, b = (np.frombuffer(np.ascontiguousarray(array).tobytes(), dtype=np.uint8) for array in (wanted, found))
    return int(np.count_nonzero(a != b))


def _batches(features: Iterable[Features]) -> Iterable[list[Features]]:
    batch: list[Features] = []
    for mel in features:
        batch.append(mel)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def render(name: str, proof: Proof) -> str:
    """Return the proof as text, with the verdict at the end."""
    lines = [
        f"float tensors    {len(proof.float_tensors)}" + "".join(f" {name}" for name in proof.float_tensors[:5]),
        f"accumulators     the largest can reach {proof.largest_accumulator:,} of {INT32_MAX:,}; "
        f"{len(proof.overflowing)} could overflow",
    ]
    width = max(len(agreement.way) for agreement in proof.agreements)
    for agreement in proof.agreements:
        lines.append(
            f"{agreement.way.ljust(width)}  {agreement.utterances:,} utterances, {agreement.bytes_compared:,} bytes "
            f"compared with the reference, {agreement.bytes_differing:,} differ"
        )
    lines.append(f"logits sha256    {proof.sha256}")
    lines.append(f"{name}: {'all guaranteed properties hold' if proof.holds else 'A GUARANTEED PROPERTY IS BROKEN'}")
    return "\n".join(lines) + "\n"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    parser = argparse.ArgumentParser(
        prog="python -m zeroq_asr.verify", description=__doc__, epilog="The exit code is 1 when anything differs."
    )
    parser.add_argument("model", metavar="MODEL", help="a quantized model")
    add_common_flags(parser, "manifest")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N utterances of each set")
    add_common_flags(parser, "threads", "json", "quiet", threads=THREADS)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return run(_main, build_parser(), argv)


def _main(arguments: argparse.Namespace) -> int:
    from zeroq_asr.artifact import load_model
    from zeroq_asr.files import write_atomically
    from zeroq_asr.frontend.features import features_of, read_utterance
    from zeroq_asr.models.kind import find_model_kind
    from zeroq_asr.models.shipped import shipped_sets
    from zeroq_asr.pipelines.evaluate import read_test_set

    if arguments.limit is not None and arguments.limit < 1:
        raise ConfigError(f"--limit: expected at least 1, got {arguments.limit}")
    kind = find_model_kind(arguments.model)
    if kind != "quantized":
        raise FileError(
            f"{arguments.model}: expected a quantized model, got another kind ({kind}); make one with `quantize`"
        )
    model = load_model(arguments.model)
    sets = [read_test_set(name, arguments.limit) for name in dict.fromkeys(arguments.manifest or shipped_sets())]
    utterances = [utterance for test_set in sets for utterance in test_set.utterances]
    with progress(len(utterances), "verify", arguments.quiet) as bar:

        def features() -> Iterable[Features]:
            for utterance in utterances:
                wave = read_utterance(utterance, model.frontend.sample_rate_hz)
                yield features_of(wave, model.frontend, utterance.audio_path)
                bar.advance()

        proof = verify(model, features(), arguments.threads)
    print(render(arguments.model, proof), end="", flush=True)
    if arguments.json:
        document = {**asdict(proof), "holds": proof.holds}
        write_atomically(arguments.json, (json.dumps(document, indent=2) + "\n").encode())
    return 0 if proof.holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
