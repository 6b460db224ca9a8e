"""Float graphs: their types and their text. What their operations are is in `zeroq_asr.ops`."""

from zeroq_asr.ir.types import Array, Graph, Node, Value, read_only

__all__ = ["Array", "Graph", "Node", "Value", "read_only"]
