"""`python -m zeroq_asr.inspect MODEL`: describe a quantized model, a synthetic data file or a `.nemo` file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zeroq_asr.cli import add_common_flags, run

if TYPE_CHECKING:
    from int_kernels import Program, Step
    from zeroq_asr.artifact import IntegerModel

Document = dict[str, Any]


def describe(reference: str) -> Document:
    """Return a description of the file as a JSON document, without torch and NeMo. Raises ZeroqError, SynthError."""
    from zeroq_asr.artifact import load_model
    from zeroq_asr.errors import FileError
    from zeroq_asr.models.kind import find_model_kind
    from zeroq_asr.models.shipped import model_path, shipped_models

    path = str(model_path(reference)) if reference in shipped_models() else reference
    kind = find_model_kind(path)
    if kind == "name":
        raise FileError(
            f"{reference}: expected a file or one of {', '.join(shipped_models())}; other names have no local file"
        )
    readers = {
        "quantized": lambda file: describe_model(load_model(file)),
        "synthetic": describe_synthetic,
        "nemo": describe_nemo,
    }
    return {"kind": kind, "file": path, "bytes": Path(path).stat().st_size, **readers[kind](path)}


def describe_model(model: IntegerModel) -> Document:
    """Return steps, costs for ten seconds, proved bounds and provenance of an integer model."""
    from eval.cost import total_bops, total_macs
    from int_kernels import Conv1d, Conv2d
    from zeroq_asr.analyses.accumulator_bounds import bound_accumulators
    from zeroq_asr.analyses.cost import PAPER_FRAMES, count_costs
    from zeroq_asr.analyses.integer_only import count_tensors, find_floats
    from zeroq_asr.runtime.transcriber import bits_of

    program = model.program
    costs, bounds = count_costs(program), bound_accumulators(program)
    reach = {name: max(-bound.lo, bound.hi) for name, bound in bounds.items()}
    worst = max(reach, key=lambda name: reach[name])
    nodes = []
    for step in program.steps:
        row = _describe_step(program, step, program.lengths[step.y].of(PAPER_FRAMES))
        if isinstance(step, Conv1d | Conv2d):
            cost = costs[step.y]
            row.update(macs=cost.macs, bops=cost.bops, weight_bits=cost.weight_bits, input_bits=cost.activation_bits)
            row.update(accumulator=reach[step.y], weight=list(step.weight.shape))
        nodes.append(row)
    floats = find_floats(program)
    return {
        "bits": bits_of(model),
        "weights": {str(bits): count for bits, count in model.weights.items()},
        "input_scale": model.input_scale,
        "frontend": model.frontend.to_json(),
        "vocabulary": len(model.vocabulary),
        "inputs": [_describe_value(program, program.input)],
        "outputs": [_describe_value(program, name) for name in program.outputs],
        "parameters": sum(cost.weights + cost.out_channels for cost in costs.values()),
        "frames": PAPER_FRAMES,
        "macs": total_macs(costs.values()),
        "bops": total_bops(costs.values()),
        "largest_accumulator": {"node": worst, "bound": reach[worst], "limit": 2**31 - 1},
        "float_tensors": list(floats),
        "integer_tensors": count_tensors(program) - len(floats),
        "nodes": nodes,
        "provenance": dict(model.provenance),
    }


def _describe_step(program: Program, step: Step, frames: int) -> Document:
    """Name, type, operation, origin and the plain fields of a step; of its shifts the least and the largest."""
    from zeroq_asr.artifact.program_fields import plain_fields, step_fields

    row: Document = {**_describe_value(program, step.y), "op": step.name, "origin": step.origin, "frames": frames}
    for name, value in plain_fields(step).items():
        if name == "clip":
            row["lo"], row["hi"] = value
        elif name in ("stride", "padding") and isinstance(value, tuple):
            row[f"{name}_h"], row[f"{name}_t"] = value
        elif name not in ("y", "x", "xs"):
            row["bits" if name == "weight_bits" else name] = value
    if shifts := [array for name, array in step_fields(step)[1].items() if name.endswith("shift")]:
        row["shift"] = [min(int(shift.min()) for shift in shifts), max(int(shift.max()) for shift in shifts)]
    return row


def _describe_value(program: Program, name: str) -> Document:
    spec = program.spec(name)
    return {"name": name, "channels": spec.channels, "type": spec.type.name}


def describe_synthetic(path: str) -> Document:
    """Return the settings and the losses of a synthetic data file. Raises FileError, SynthError."""
    from synth.store import MAX_BYTES, from_bytes
    from zeroq_asr.files import read_file

    data = from_bytes(read_file(path, MAX_BYTES), path)
    return {
        "settings": data.settings.to_json(),
        "fingerprint": data.fingerprint,
        "complete": data.complete,
        "spectrograms": data.spectrograms,
        "taps": list(data.batchnorms),
        "batches": [
            {
                "steps": int(batch.losses.size - 1),
                "loss_start": float(batch.losses[0]),
                "loss_end": float(batch.losses[-1]),
                "loss_lowest": float(batch.losses.min()),
                "worst_tap": data.batchnorms[int(batch.batchnorm_losses_end.argmax())] if data.batchnorms else None,
            }
            for batch in data.batches
        ],
    }


def describe_nemo(path: str) -> Document:
    """Return members and config of a .nemo file; the weights are not read. Raises FileError, CheckpointError."""
    from zeroq_asr.adapters.nemo.archive import CONFIG, MAX_CONFIG_BYTES
    from zeroq_asr.adapters.safe.tar_stream import open_tar
    from zeroq_asr.adapters.safe.yaml_reader import parse_yaml
    from zeroq_asr.errors import CheckpointError

    members, config = {}, None
    with open_tar(Path(path)) as archive:
        for member in archive.members():
            if member.name in members:
                raise CheckpointError(
                    f"{path}: member {member.name!r}: expected once, got twice; the file is hostile or damaged"
                )
            members[member.name] = member.size
            if member.name == CONFIG:
                config = parse_yaml(member.read(MAX_CONFIG_BYTES), f"{path}, {CONFIG}")
    if not isinstance(config, Mapping):
        raise CheckpointError(
            f"{path}: expected the member {CONFIG} with keys and values, got none; is this a NeMo model?"
        )
    return {"members": members, "config": config}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    parser = argparse.ArgumentParser(prog="python -m zeroq_asr.inspect", description=__doc__)
    parser.add_argument(
        "model", metavar="MODEL", help="a quantized model, synthetic data, a .nemo file or a shipped model's name"
    )
    add_common_flags(parser, "json")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return run(_main, build_parser(), argv)


def _main(arguments: argparse.Namespace) -> int:
    from zeroq_asr.files import write_atomically
    from zeroq_asr.report.inspection import render

    document = describe(arguments.model)
    print(render(document), end="", flush=True)
    if arguments.json:
        write_atomically(arguments.json, (json.dumps(document, indent=2) + "\n").encode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
