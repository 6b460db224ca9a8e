"""Cross-layer equalisation: input channels of a layer get weights of one size (Nagel et al. 2019, DFQ, section 4.1).

Given:
    x = conv1d(u, w1, b1)                 read by y only; nothing between, no ReLU (two conv2d likewise)
    y = conv1d(x, w2, b2)                 any groups
Result:
    x = conv1d(u, w1 f, b1 f)             f > 0 per channel of x
    y = conv1d(x, w2 / f, b2)             the same y

    f_c = sqrt(r2_c / r1_c),    r1_c = max |w1[c]|,  r2_c = max |w2[:, c]|         (eq. 11: both maxima become equal)

Exact in real arithmetic; float64, stored as float32; all names stay. A dead channel (r1 or r2 zero) keeps f = 1. The
pair that real networks have is depthwise to pointwise.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zeroq_asr.analyses.roles import CONVOLUTIONS
from zeroq_asr.ir.types import Array, Graph, Node
from zeroq_asr.ops.verify import verify
from zeroq_asr.passes.rebuild import folded_constant, rebuild

ESTABLISHES = "equalized"

Reals = npt.NDArray[np.float64]


def equalize(graph: Graph) -> Graph:
    """Return `graph` with every pair of neighbouring convolutions equalised, in execution order. Raises GraphError."""
    constants: dict[str, Array] = dict(graph.constants)
    current = {node.output: node for node in graph.nodes}
    for second in graph.nodes:
        first = graph.producer(second.inputs[0])
        if first is None or not _is_pair(graph, first, second):
            continue
        first, second = current[first.output], current[second.output]
        factors = _factors(constants[first.inputs[1]], constants[second.inputs[1]], second.integer("groups"))
        current[first.output] = _scaled(first, constants, factors[:, None], factors)
        columns = (1 / factors).reshape(second.integer("groups"), -1)  # the channel that w2[o, c] meets, per group
        columns = columns.repeat(len(constants[second.inputs[1]]) // len(columns), axis=0)
        current[second.output] = _scaled(second, constants, columns, None)
    result = rebuild(graph, [current[node.output] for node in graph.nodes], constants, ESTABLISHES)
    verify(result)
    return result


def _is_pair(graph: Graph, first: Node, second: Node) -> bool:
    alone = len(graph.consumers(first.output)) == 1 and first.output not in graph.outputs
    return first.op == second.op and first.op in CONVOLUTIONS and alone


def _factors(first: Array, second: Array, groups: int) -> Reals:
    """f per channel between the two, float64 [C]."""
    made = np.abs(first.astype(np.float64)).reshape(len(first), -1).max(axis=1)
    taps = np.abs(second.astype(np.float64)).reshape(*second.shape[:2], -1).max(axis=2)
    by_group = taps.reshape(groups, -1, second.shape[1])
    read = by_group.max(axis=1).ravel()
    alive = (made > 0) & (read > 0)
    return np.where(alive, np.sqrt(np.where(alive, read, 1.0) / np.where(alive, made, 1.0)), 1.0)


def _scaled(node: Node, constants: dict[str, Array], weight: Reals, bias: Reals | None) -> Node:
    """`node` with its weight [O, C / groups, ...] times `weight` [O, C / groups or 1] and its bias times `bias`."""
    names = list(node.inputs[1:])
    for index, factors in enumerate((weight, bias)[: len(names)]):
        if factors is not None:
            old = constants[names[index]].astype(np.float64)
            names[index] = f"{node.output}.equalized.{('weight', 'bias')[index]}"
            factors = factors.reshape(*factors.shape, *(1,) * (old.ndim - factors.ndim))
            constants[names[index]] = folded_constant(node.output, old * factors)
    return Node(node.op, (node.inputs[0], *names), node.output, node.attrs, node.origin)
