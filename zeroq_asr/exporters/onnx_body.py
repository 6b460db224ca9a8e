"""An ONNX graph (opset 17) in the making, on values [B, C, 1, T]. The operations emit themselves (`zeroq_asr.ops`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from zeroq_asr.ir.types import Graph


class OnnxBody:
    """Nodes and constants in the making. lengths: T of every value where the input's is fixed, else None."""

    FLOAT: ClassVar[int] = 1
    """TensorProto.FLOAT."""

    def __init__(self, graph: Graph, lengths: Mapping[str, int] | None) -> None:
        self.graph, self.lengths = graph, lengths
        self.nodes: list[Any] = []
        self.constants: dict[str, npt.NDArray[Any]] = {}

    def emit(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Append one ONNX node named after its output; return the output."""
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: npt.ArrayLike, dtype: type = np.float32) -> str:
        """Store a constant under `name` and return the name."""
        self.constants[name] = np.asarray(value, dtype)
        return name

    def reshape(self, x: str, output: str, *shape: int) -> str:
        """0 keeps a size, -1 stands for what is left."""
        return self.emit("Reshape", [x, self.constant(f"{output}.shape", shape, np.int64)], output)

    def transpose(self, x: str, output: str, *order: int) -> str:
        """Reorder the axes of `x`."""
        return self.emit("Transpose", [x], output, perm=order)

    def cut(self, x: str, output: str, start: int, end: int, axis: int) -> str:
        """x[start:end] along `axis`."""
        bounds = [
            self.constant(f"{output}.{name}", [at], np.int64)
            for name, at in (("start", start), ("end", end), ("axis", axis))
        ]
        return self.emit("Slice", [x, *bounds], output)

    def length(self, value: str, output: str) -> str:
        """T of a value as an int64 tensor [1], known only when the file runs."""
        return self.emit("Shape", [value], output, start=3, end=4)
