"""Give every value that becomes codes its scale and integer type: the place where ranges and graph meet.

Given: a float graph without BatchNorms, a RangeTable, a QuantizeConfig
Result: value name -> QuantParams, for exactly the values in `find_code_values`
"""

from __future__ import annotations

from zeroq_asr.analyses.code_values import find_code_values, is_nonnegative
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.errors import QuantizationError
from zeroq_asr.ir.types import Graph
from zeroq_asr.quant.qparams import QuantParams, choose_qparams
from zeroq_asr.quant.ranges import RangeTable


def assign_qparams(graph: Graph, table: RangeTable, config: QuantizeConfig) -> dict[str, QuantParams]:
    """Return the code of every stored value. Raises QuantizationError where the table has no range for one."""
    result = {}
    for name in find_code_values(graph):
        if name not in table.ranges:
            raise QuantizationError(
                f"value {name!r}: no range was measured ({table.source}); calibrate this model again"
            )
        unsigned = config.activations == "auto" and is_nonnegative(graph, name)
        result[name] = choose_qparams(name, table.ranges[name], config.act_bits, unsigned)
    return result
