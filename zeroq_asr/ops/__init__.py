"""The operations of float graphs, one file each, with the builder and the verifier of graphs."""

from zeroq_asr.ops.builder import GraphBuilder
from zeroq_asr.ops.frames import count_frames
from zeroq_asr.ops.registry import CONVOLUTIONS, OPS, SIMULATIONS
from zeroq_asr.ops.verify import verify

__all__ = ["CONVOLUTIONS", "OPS", "SIMULATIONS", "GraphBuilder", "count_frames", "verify"]
