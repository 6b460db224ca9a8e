"""Start of `transcribe` and its peak memory, not part of the tests:

    python -m zeroq_asr.quantize --model quartznet15x5 --calibration random --output zeroq-out/qn15-w8.safetensors
    python benchmarks/bench_start.py zeroq-out/qn15-w8.safetensors [FILE ...] [--rounds 9] [--seconds 10]

Every round starts a process of its own for each row, in turn: `python -m zeroq_asr.transcribe --model FILE speech.wav`,
and, as the floor, Python alone and Python that imports numpy. "first word" is from the start of the process until its
first line of text can be read, "whole" until it has ended. RSS is the kernel's own maximum for the process
(`ru_maxrss`; its parent here imports no numpy and stays below it); "CPU" is what the process computed on all cores, and
the number to compare on a busy machine. `--tree NAME=FOLDER` measures the same files with the code of another checkout
beside this one: the table of before and after. Speech is cut from the shipped utterances; compiled Python files go to a
folder of the run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
SPEECH = ROOT / "shipped" / "clean"
RATE_HZ = 16_000
MB = 1e6


@dataclass
class Row:
    """One command, and what its processes took: seconds to the first line, to the end, of CPU; peak bytes."""

    name: str
    command: list[str]
    folder: Path
    file_bytes: int = 0
    first: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: list[int] = field(default_factory=list)

    def measure(self, cache: str, counts: bool = True) -> None:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = cache
        started = time.perf_counter()
        process = subprocess.Popen(self.command, cwd=self.folder, stdout=subprocess.PIPE, env=environment)
        assert process.stdout is not None
        process.stdout.readline()
        first = time.perf_counter() - started
        process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        whole = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{self.name}: ended with {process.returncode}")
        if counts:
            self.first.append(first)
            self.whole.append(whole)
            self.cpu.append(usage.ru_utime + usage.ru_stime)
            self.peak.append(usage.ru_maxrss * 1024)

    def text(self) -> str:
        first, whole, cpu = (statistics.median(times) for times in (self.first, self.whole, self.cpu))
        peak = statistics.median(self.peak)
        cells = f"{1e3 * first:9.0f} {1e3 * min(self.first):7.0f} {1e3 * whole:9.0f} {1e3 * cpu:7.0f} {peak / MB:8.1f}"
        if not self.file_bytes:
            return f"{self.name:<44} {cells}"
        return f"{self.name:<44} {cells} {self.file_bytes / MB:8.1f} {(peak - self.file_bytes) / MB:9.1f}"


def cut_speech(path: Path, seconds: float) -> None:
    """Write shipped utterances, one after the other, until the file is `seconds` long."""
    import soundfile

    wanted = round(seconds * RATE_HZ)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        while True:
            for name in sorted(SPEECH.rglob("*.flac")):
                samples, _ = soundfile.read(name, dtype="int16")
                out.writeframes(samples[:wanted].tobytes())
                wanted -= min(wanted, len(samples))
                if not wanted:
                    return


def rows_of(arguments: argparse.Namespace, audio: Path) -> list[Row]:
    python = [sys.executable]
    rows = [
        Row("python", [*python, "-c", "print()"], ROOT),
        Row("python, numpy", [*python, "-c", "import numpy; print()"], ROOT),
    ]
    trees = [("", ROOT)] + [(f"{name} ", Path(folder)) for name, folder in (t.split("=", 1) for t in arguments.tree)]
    for file in arguments.models:
        size = os.path.getsize(file)
        for name, folder in trees:
            command = [*python, "-m", "zeroq_asr.transcribe", "--quiet", "--model", os.path.abspath(file)]
            command += ["--threads", str(arguments.threads), str(audio)]
            rows.append(Row(f"{name}{Path(file).stem}", command, folder, size))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="FILE", help="quantized files")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tree", action="append", default=[], metavar="NAME=FOLDER", help="another checkout, built")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        audio = Path(folder) / "speech.wav"
        # In a process of its own: what this one has in memory would count as the peak of its children.
        subprocess.run([sys.executable, __file__, "--cut", str(audio), str(arguments.seconds)], check=True)
        rows = rows_of(arguments, audio)
        for row in rows:
            row.measure(folder, counts=False)  # files come into the system's cache, Python files are compiled
        for _ in range(arguments.rounds):
            for row in rows:
                row.measure(folder)
    heads = (
        ("first", "", "", "CPU", "peak", "", "peak less"),
        ("word, ms", "min", "whole, ms", "ms", "RSS, MB", "file, MB"),
    )
    for head in (heads[0], (*heads[1], "file, MB")):
        widths = (9, 7, 9, 7, 8, 8, 9)
        print(" " * 44, " ".join(f"{text:>{width}}" for text, width in zip(head, widths, strict=True)))
    print("\n".join(row.text() for row in rows))
    print(f"{arguments.seconds:g} s of audio, {arguments.threads} thread(s), {arguments.rounds} rounds, medians")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--cut"]:
        cut_speech(Path(sys.argv[2]), float(sys.argv[3]))
    else:
        main()
