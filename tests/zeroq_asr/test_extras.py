"""Without optional packages quantized files still run, and everything else says in one line which extra is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.nemo_files import nemo_bytes
from support.toy_models import save_noise, save_toy

from zeroq_asr.errors import EXTRA_OF, MissingExtraError, extras_named

BLOCK = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
"""
RUN = "from zeroq_asr.cli import main\nraise SystemExit(main({words!r}))"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quantized file, a .nemo file, five WAV files and their manifest."""
    path = tmp_path_factory.mktemp("files")
    save_noise(path)
    save_toy(path / "toy.safetensors", bits=6)
    (path / "toy.nemo").write_bytes(nemo_bytes())
    return path


def run_without(packages: set[str], script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `script` in a process of its own in which `packages` cannot be imported."""
    source = BLOCK.format(packages=packages) + script
    return subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False, cwd=folder)


@pytest.mark.parametrize(
    "words",
    [
        ["transcribe", "--model", "toy.safetensors", "0.wav", "1.wav"],
        ["verify", "toy.safetensors", "--manifest", "manifest.json"],
        ["inspect", "toy.safetensors"],
    ],
    ids=lambda words: words[0],
)
def test_quantized_files_run_with_the_core_alone(words: list[str], folder: Path) -> None:
    done = run_without(set(EXTRA_OF) | {"sentencepiece"}, RUN.format(words=words), folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_api_runs_quantized_files_with_the_core_alone(folder: Path) -> None:
    script = (
        "import zeroq_asr\nmodel = zeroq_asr.load('toy.safetensors')\nprint(model.transcribe('0.wav').seconds)\n"
        "model.save('copy.safetensors')\nprint(model.logits('0.wav').dtype, model.verify().holds)"
    )
    done = run_without(set(EXTRA_OF), script, folder)
    assert done.stdout.split() == ["0.3", "int32", "True"], done.stderr


@pytest.mark.parametrize(
    ("package", "extra", "words"),
    [
        ("torch", "quantize", ["quantize", "--model", "toy.nemo", "--calibration", "random"]),
        ("torch", "quantize", ["generate", "--model", "toy.nemo"]),
        ("torch", "quantize", ["transcribe", "--model", "toy.nemo", "0.wav"]),
        ("torch", "quantize", ["transcribe", "--model", "toy.safetensors", "--backend", "float", "0.wav"]),
        ("yaml", "quantize", ["inspect", "toy.nemo"]),
        ("jiwer", "quantize", ["evaluate", "--model", "toy.safetensors", "--manifest", "manifest.json"]),
        ("tensorboard", "quantize", ["generate", "--model", "toy.nemo", "--batches", "1", "--iterations", "1"]),
        ("scipy", "quantize", ["quantize", "--model", "toy.nemo", "--calibration", "random", "--mean-bits", "5"]),
    ],
)
def test_one_line_says_which_extra_to_install(package: str, extra: str, words: list[str], folder: Path) -> None:
    done = run_without({package}, RUN.format(words=[*words, *(["--quiet"] if words[0] != "inspect" else [])]), folder)
    expected = f"error: expected the package {package}, it is not installed; run `pip install 'zeroq-asr[{extra}]'`\n"
    assert (done.returncode, done.stderr) == (2, expected)


def test_the_api_raises_the_same_line(folder: Path) -> None:
    script = (
        "import zeroq_asr\ntry:\n    zeroq_asr.quantize('toy.nemo', calibration='random')\n"
        "except zeroq_asr.ZeroqError as error:\n    print(isinstance(error, ImportError), error)"
    )
    done = run_without({"torch"}, script, folder)
    assert done.stdout.startswith("True expected the package torch,"), done.stderr


def test_a_module_of_ours_that_is_missing_stays_a_defect() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module") as caught, extras_named():
        import zeroq_asr.no_such_module  # type: ignore[import-not-found] # noqa: F401
    assert not isinstance(caught.value, MissingExtraError)
