"""Build and install the four packages, with the integer kernels compiled from C.

The kernels need a C compiler (gcc or clang). There is no silent fallback to the slow reference executor: without a
compiler the installation stops and says what to install.
"""

from __future__ import annotations

import sys
from glob import glob
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).parent
VERSION = next(
    line.split('"')[1]
    for line in (HERE / "zeroq_asr/__init__.py").read_text().splitlines()
    if line.startswith("__version__")
)


class BuildKernels(build_ext):
    """Compile the kernels, or stop with a sentence that says what is missing."""

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
            extra_compile_args=["-std=c99", "-O3", "-pthread"],
            extra_link_args=["-pthread"] if sys.platform != "darwin" else [],
        )
    ],
    cmdclass={"build_ext": BuildKernels},
    install_requires=[
        "torch>=2.10",
        "nemo_toolkit[asr]==3.0.0",
        "numpy>=2.0",
        "scipy>=1.11",
        "jiwer>=4.0",
        "tensorboard>=2.16",
        "safetensors>=0.5",
        "soundfile>=0.12",
        "soxr>=0.5",
        "tqdm>=4.66",
        "matplotlib>=3.8",
        "pyyaml>=6.0",
    ],
    extras_require={
        "dev": ["pytest", "pytest-benchmark", "pytest-xdist", "hypothesis", "ruff", "mypy", "types-PyYAML"],
        "lm": ["flashlight-text==0.0.7"],
        "peers": ["onnx==1.23.2", "onnxruntime==1.31.1", "openvino==2026.4.1", "nncf==3.4.0"],
    },
    entry_points={"console_scripts": ["zeroq-asr = zeroq_asr.cli:main"]},
)
