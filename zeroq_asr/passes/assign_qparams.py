"""Give every stored value its scale and integer type: the place where ranges and graph meet.

Given: a prepared float graph, a RangeTable, a QuantizeConfig
Result: value name -> QuantParams, for exactly the values in `find_code_values`
"""

from __future__ import annotations

from collections.abc import Mapping

from zeroq_asr.analyses.roles import (
    Role,
    find_roles,
    is_depthwise_input,
    is_fixed,
    is_nonnegative,
    is_shiftable,
)
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.errors import QuantizationError
from zeroq_asr.ir.types import Graph
from zeroq_asr.ops.registry import OPS
from zeroq_asr.quant.qparams import (
    GATE,
    POSITIONS,
    QuantParams,
    choose_channels,
    choose_qparams,
    choose_shifted,
    choose_stream,
)
from zeroq_asr.quant.ranges import Range, RangeTable


def assign_qparams(
    graph: Graph, table: RangeTable, config: QuantizeConfig, *, roles: Mapping[str, Role] | None = None
) -> dict[str, QuantParams]:
    """Return the scale and type of every stored value.

    roles: those of `find_roles` for this graph, computed here if None. Raises QuantizationError if the table lacks a
    range.
    """
    result: dict[str, QuantParams] = {}
    for name, role in (roles or find_roles(graph, config.nonlinear)).items():
        if role not in ("code", "stream"):
            continue
        producer = graph.producer(name)
        if producer is not None and OPS[producer.op].keeps_scale:
            result[name] = result[producer.inputs[0]]
        elif is_fixed(graph, name, role):
            result[name] = GATE if role == "stream" else POSITIONS
        elif name in table.ranges:
            result[name] = _choose(graph, name, role, table.ranges[name], config)
        else:
            raise QuantizationError(
                f"value {name!r}: no range was measured ({table.source}); calibrate this model again"
            )
    return result


def _choose(graph: Graph, name: str, role: Role, range: Range, config: QuantizeConfig) -> QuantParams:
    if role == "stream":
        return choose_stream(name, range)
    if config.activations == "auto":
        if is_shiftable(graph, name):
            return choose_shifted(name, range, config.act_bits)
        if is_depthwise_input(graph, name, ("glu", "relu") if "channel-scales" in config.methods else ("glu",)):
            return choose_channels(name, range, config.act_bits, is_nonnegative(graph, name))
        if is_nonnegative(graph, name):
            return choose_qparams(name, range, config.act_bits, unsigned=True)
    return choose_qparams(name, range, config.act_bits, unsigned=False)
