"""Lower a float graph to the integer program: afterwards no scale is left.

Given:
    a = conv1d(x, weight, bias)            b = conv1d(y, ...)
    z = relu(add(a, b))                    S_x, S_y, S_z known
Result:
    a = Conv1d(x, qw, qb)                  int32, at the scale S_x * S_w[c]
    b = Conv1d(y, ...)
    z = Sum((a, b), m, r, clip from 0)     one rounding for both branches, the ReLU is the clip

What each value becomes is `find_roles`' answer; how each operation is lowered is in its file under `zeroq_asr.ops`. A
convolution that nobody adds to becomes one `Conv1d` with its own multiplier and shift. The last convolution's channels
are brought to one common int32 grid on which they can be compared; `Argmax` reads them there. Building the program
proves that no accumulator can overflow.
"""

from __future__ import annotations

from collections.abc import Mapping

from int_kernels import Argmax, Program, ValueSpec
from int_kernels.int_type import INT32
from zeroq_asr.analyses.roles import Role, find_roles
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.errors import GraphError
from zeroq_asr.ir.types import Graph, Node
from zeroq_asr.ops.lowering import Lowering, conv1d_step
from zeroq_asr.ops.multiply import lower_product
from zeroq_asr.ops.registry import OPS
from zeroq_asr.passes.fold_batchnorm import ESTABLISHES as NO_BATCH_NORM
from zeroq_asr.quant.fit_dyadic import fit_dyadic
from zeroq_asr.quant.qparams import QuantParams
from zeroq_asr.quant.weights import RoundedWeights

TOKENS = "tokens"
"""Name of the program's second output, the argmax of the logits."""

_LOGIT_BITS = 24
"""Logits get the finest grid on which the proved bound of every channel stays within this many bits."""


def lower_to_integer(
    graph: Graph,
    qparams: Mapping[str, QuantParams],
    config: QuantizeConfig,
    rounded: Mapping[str, RoundedWeights] | None = None,
    *,
    roles: Mapping[str, Role] | None = None,
) -> Program:
    """Return the integer program with outputs (logits, tokens).

    rounded: weights of convolutions, by the values they make, that are taken as they are (`passes.gptq`). roles: those
    of `find_roles` for this graph, computed here if None. Raises GraphError, QuantizationError,
    int_kernels.KernelError.
    """
    if NO_BATCH_NORM not in graph.facts:
        raise GraphError("lower_to_integer: expected a graph without BatchNorms; run fold_batchnorm first")
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise GraphError(f"lower_to_integer: expected one input and one output, got {graph.inputs} and {graph.outputs}")
    state = Lowering(graph, roles or find_roles(graph, config.nonlinear), qparams, config, rounded or {})
    (source,), (logits,) = graph.inputs, graph.outputs
    state.values[source] = ValueSpec(source, state.channels(source), state.code(source).type)
    if not graph.nodes:
        _lower_logits(state, logits)
    for node in graph.nodes:
        _lower(state, node)
    return Program(tuple(state.values.values()), tuple(state.steps), source, (logits, TOKENS))


def _lower(state: Lowering, node: Node) -> None:
    role = state.roles[node.output]
    if role == "logits":
        _lower_logits(state, node.output)
    elif role == "accumulator":
        if node.op == "multiply":
            lower_product(state, node, node.output)
        else:
            state.lower_accumulator(node, node.output)
    elif role != "inner":
        _lower_stored(state, node)


def _lower_stored(state: Lowering, node: Node) -> None:
    """Emit what makes the stored value of `node`; a ReLU is fused into the convolution or sum that only it reads."""
    name, relu = node.output, node.op == "relu"
    inner = state.producers.get(node.inputs[0])
    if relu and inner is not None and state.roles[inner.output] == "inner":
        node = inner
    OPS[node.op].lower(state, node, name, relu)


def _lower_logits(state: Lowering, name: str) -> None:
    """Emit the head: every channel on one int32 grid, then the argmax."""
    node = state.producers.get(name)
    if node is None or node.op != "conv1d":
        raise GraphError(
            f"output {name!r}: expected a convolution as the last node, found {node.op if node else 'the input'!r}"
        )
    integers = state.quantize(node)
    largest = max(float(scale) * reach for scale, reach in zip(integers.scales, integers.reach, strict=True))
    grid = largest / (2 ** (_LOGIT_BITS - 1) - 1) if largest > 0 else 1.0
    rescale = fit_dyadic(node.output, integers.scales / grid)
    step = conv1d_step(state, node, name, integers, rescale=rescale, clip=(INT32.lo, INT32.hi))
    state.emit(step, state.channels(name), INT32)
    state.emit(Argmax(name, TOKENS, origin=node.origin), 1, INT32)
