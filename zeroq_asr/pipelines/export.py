"""Float model and calibration data in, files for other programs out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from zeroq_asr.config import TENSORRT_VERSION, THREADS, QuantizeConfig
from zeroq_asr.exporters import to_onnx
from zeroq_asr.exporters.registry import Format
from zeroq_asr.files import write_atomically
from zeroq_asr.ir.types import Graph
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.pipelines.ranges import measure_ranges
from zeroq_asr.quant.ranges import RangeTable

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel
    from zeroq_asr.pipelines.calibration import CalibrationData


class ExportJob:
    """An `exporters.registry.ExportSource`: a float model, and calibration data that is made when a format needs it.

    config: how ranges are chosen. threads: of ONNX Runtime, which computes the tensors that ranges are measured on.
    """

    def __init__(
        self,
        model: FloatModel,
        make_data: Callable[[], CalibrationData],
        config: QuantizeConfig,
        *,
        tensorrt_version: str = TENSORRT_VERSION,
        threads: int = THREADS,
    ) -> None:
        self.model, self.config, self.tensorrt_version = model, config, tensorrt_version
        self._make_data, self._threads = make_data, threads

    @cached_property
    def graph(self) -> Graph:
        """The float graph as calibration sees it."""
        return prepare(self.model.graph)

    @cached_property
    def onnx(self) -> bytes:
        """The ONNX file of `graph`."""
        return to_onnx(self.graph)

    @cached_property
    def ranges(self) -> RangeTable:
        """The range of every float tensor of `onnx`. Raises QuantizationError and what making the data raises."""
        data = self._make_data()
        with TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            path.write_bytes(self.onnx)
            return measure_ranges(path, self.graph, data.batches, self.config, data.source, self._threads)


def export(job: ExportJob, formats: Iterable[Format], folder: Path) -> list[Path]:
    """Write every format to its file in `folder`; return the files. Raises what `Format.write` raises, FileError."""
    files = []
    for format in formats:
        content = format.write(job)
        files.append(folder / format.file)
        write_atomically(files[-1], content)
    return files
