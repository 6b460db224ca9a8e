"""The graph that everything else speaks: types, builder, verifier, printer."""

from zeroq_asr.ir.builder import GraphBuilder
from zeroq_asr.ir.types import FLOAT, Array, Graph, Node, Value, read_only
from zeroq_asr.ir.verify import verify

__all__ = ["FLOAT", "Array", "Graph", "GraphBuilder", "Node", "Value", "read_only", "verify"]
