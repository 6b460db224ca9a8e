"""Lower a float graph to the integer dialect: afterwards no scale is left.

Given:
    a = conv1d(x, weight, bias)            b = conv1d(y, ...)
    z = relu(add(a, b))                    S_x, S_y, S_z known
Result:
    a = accumulate(x, qw, qb)              int32, at the scale S_x * S_w[c]
    b = accumulate(y, ...)
    z = sum(a, b; m, r) lo=0               one rounding for both branches, the ReLU is the clip

What each value becomes is `find_roles`' answer; how each operation is lowered stands in `lowering`. A convolution that
nobody adds to becomes one `conv1d` with its own multiplier and shift. The last convolution's channels are brought to
one common int32 grid on which they can be compared; `argmax` reads them there.
"""

from __future__ import annotations

from collections.abc import Mapping

from zeroq_asr.analyses.roles import ACTIVATIONS, CONVOLUTIONS, find_roles
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.errors import GraphError
from zeroq_asr.ir.types import Graph, Node, Value
from zeroq_asr.ir.verify import verify
from zeroq_asr.passes.fold_batchnorm import ESTABLISHES as NO_BATCH_NORM
from zeroq_asr.passes.lowering.activations import lower_activation
from zeroq_asr.passes.lowering.attention import lower_attention, lower_positions
from zeroq_asr.passes.lowering.channelwise import lower_layer_norm, lower_mean
from zeroq_asr.passes.lowering.convolutions import TOKENS, lower_accumulator, lower_convolution, lower_logits
from zeroq_asr.passes.lowering.state import Lowering
from zeroq_asr.passes.lowering.sums import emit_sum, lower_add, lower_add_bias, lower_product, lower_relu
from zeroq_asr.quant.qparams import QuantParams
from zeroq_asr.quant.weights import RoundedWeights


def lower_to_integer(
    graph: Graph,
    qparams: Mapping[str, QuantParams],
    config: QuantizeConfig,
    rounded: Mapping[str, RoundedWeights] | None = None,
) -> Graph:
    """Return the integer graph with outputs (logits, tokens). Raises GraphError, QuantizationError.

    rounded: weights of convolutions, by the values they make, that are taken as they are (`round_with_gptq`).
    """
    if NO_BATCH_NORM not in graph.facts:
        raise GraphError("lower_to_integer: expected a graph without BatchNorms; run fold_batchnorm first")
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise GraphError(f"lower_to_integer: expected one input and one output, got {graph.inputs} and {graph.outputs}")
    state = Lowering(graph, find_roles(graph, config.nonlinear), qparams, config, rounded or {})
    (source,) = graph.inputs
    state.values[source] = Value(source, state.channels(source), state.code(source).type)
    if not graph.nodes:
        lower_logits(state, graph.outputs[0])
    for node in graph.nodes:
        _lower(state, node)
    result = Graph(
        "integer",
        graph.inputs,
        (graph.outputs[0], TOKENS),
        tuple(state.nodes),
        state.values,
        state.constants,
        frozenset({"no-scale"}),
    )
    verify(result)
    return result


def _lower(state: Lowering, node: Node) -> None:
    role = state.roles[node.output]
    if role == "logits":
        lower_logits(state, node.output)
    elif role == "accumulator":
        if node.op == "multiply":
            lower_product(state, node, node.output)
        else:
            lower_accumulator(state, node, node.output)
    elif role != "inner":
        _lower_stored(state, node)


def _lower_stored(state: Lowering, node: Node) -> None:
    """Emit what makes the codes or the stream of `node`'s value."""
    name, relu = node.output, node.op == "relu"
    inner = state.producers.get(node.inputs[0])
    if relu and inner is not None and state.roles[inner.output] == "inner":
        node = inner
    if node.op in CONVOLUTIONS:
        _lower_stored_convolution(state, node, name, relu)
    elif node.op == "add":
        lower_add(state, node, name, relu)
    elif node.op == "multiply":
        emit_sum(state, [lower_product(state, node, f"{name}.product")], name, node.origin, relu=False)
    elif node.op in ACTIVATIONS:
        lower_activation(state, node)
    elif node.op in _SIMPLE:
        _SIMPLE[node.op](state, node)
    else:
        raise GraphError(f"node {node.output!r}: {node.op!r} has no integer form; run prepare first")


def _lower_stored_convolution(state: Lowering, node: Node, name: str, relu: bool) -> None:
    if state.roles[name] == "code":
        lower_convolution(state, node, name, relu)
    else:
        accumulator = lower_accumulator(state, node, node.output if relu else f"{name}.accumulator")
        emit_sum(state, [accumulator], name, node.origin, relu)


_SIMPLE = {
    "relu": lower_relu,
    "add_bias": lower_add_bias,
    "layer_norm": lower_layer_norm,
    "mean": lower_mean,
    "positions": lower_positions,
    "attention": lower_attention,
}
