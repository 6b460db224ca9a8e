"""Run the float graph on calibration data and measure the range of every value that will be quantized."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from int_kernels.int_type import IntType
from zeroq_asr.analyses.roles import (
    Role,
    find_roles,
    is_depthwise_input,
    is_fixed,
    is_heavy_tailed,
    is_nonnegative,
)
from zeroq_asr.calibrate.observers import Observer, check_finite, make_observer
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.errors import QuantizationError
from zeroq_asr.ir.types import Graph
from zeroq_asr.quant.ranges import RangeTable

if TYPE_CHECKING:
    from zeroq_asr.runtime.float_executor import FloatExecutor


def calibrate(
    executor: FloatExecutor,
    batches: Iterable[npt.NDArray[np.float32]],
    config: QuantizeConfig,
    source: str,
    *,
    roles: Mapping[str, Role] | None = None,
) -> RangeTable:
    """Return the range of every stored value whose scale depends on data.

    batches: each float32 [B, n_mels, T] without padding. source: name of the data, for messages and the table. roles:
    those of `find_roles` for this graph, computed here if None. The memory is that of one batch and a fixed number of
    counters per value, for any number of batches. Raises QuantizationError (no data, numbers that are not finite).
    """
    observers = _observers(executor.graph, config, roles or find_roles(executor.graph, config.nonlinear))

    def observe(name: str, value: Any) -> Any:
        if name in observers:
            array = value.detach().cpu().numpy()
            check_finite(name, array)
            observers[name].update(array)
        return value

    last = list(observers)[-1:]
    seen = 0
    for batch in batches:
        executor.run(batch, keep=last, outputs=False, edit=observe)
        seen += 1
    if seen == 0:
        raise QuantizationError(f"calibration ({source}): expected at least one batch of data, got none")
    return RangeTable({name: observer.range() for name, observer in observers.items()}, source)


def _observers(graph: Graph, config: QuantizeConfig, roles: Mapping[str, Role]) -> dict[str, Observer]:
    """Return an observer for every stored value whose scale depends on data."""

    def observer(name: str, role: Role) -> Observer:
        unsigned = config.activations == "auto" and is_nonnegative(graph, name)  # as in `assign_qparams`
        top = IntType(config.act_bits, signed=not unsigned).hi
        by_extremes = role == "stream" or is_heavy_tailed(graph, name)
        return make_observer(config, top, by_extremes=by_extremes, per_channel=is_depthwise_input(graph, name))

    return {
        name: observer(name, role)
        for name, role in roles.items()
        if role in ("code", "stream") and not is_fixed(graph, name, role)
    }
