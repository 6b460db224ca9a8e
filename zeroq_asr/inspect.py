"""`python -m zeroq_asr.inspect MODEL`: describe a quantized model, a synthetic data file or a `.nemo` file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zeroq_asr.cli import add_common_flags, run

if TYPE_CHECKING:
    from int_kernels import Program, Step
    from zeroq_asr.artifact import IntegerModel

Document = dict[str, Any]

_CONV1D = ("stride", "dilation", "padding", "groups")


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


def _summary_of_config(config: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield the lines of the summary that the config has the keys for."""
    yield "class", str(config.get("target", "unknown"))
    for part in ("preprocessor", "encoder", "decoder"):
        section = config.get(part)
        if isinstance(section, Mapping):
            yield part, str(section.get("_target_", section.get("cls", "unknown"))).rsplit(".", 1)[-1]
    preprocessor = config.get("preprocessor")
    if isinstance(preprocessor, Mapping):
        keys = ("sample_rate", "features", "window_size", "window_stride", "n_fft", "window", "normalize")
        yield "features", ", ".join(f"{key} {preprocessor[key]}" for key in keys if key in preprocessor)
    encoder, decoder = config.get("encoder"), config.get("decoder")
    if isinstance(encoder, Mapping) and isinstance(encoder.get("jasper"), list):
        for number, block in enumerate(encoder["jasper"]):
            if isinstance(block, Mapping):
                keys = ("filters", "repeat", "kernel", "stride", "dilation", "separable", "residual")
                yield f"block {number}", ", ".join(f"{key} {block[key]}" for key in keys if key in block)
    if isinstance(decoder, Mapping) and isinstance(decoder.get("vocabulary"), list):
        tokens = decoder["vocabulary"]
        yield "vocabulary", f"{len(tokens)} tokens: {''.join(map(str, tokens))[:60]!r}"


def render(document: Document) -> str:
    """Return the document as text."""
    title = {"quantized": "quantized model", "synthetic": "synthetic data", "nemo": "NeMo checkpoint"}[document["kind"]]
    lines = [f"{document['file']}: {title}, {document['bytes']:,} bytes"]
    renderers = {"quantized": _render_model, "synthetic": _render_synthetic, "nemo": _render_nemo}
    return "\n".join([*lines, *renderers[document["kind"]](document)]) + "\n"


def _render_model(document: Document) -> list[str]:
    from zeroq_asr.report.quantization import describe_weight_bits
    from zeroq_asr.report.text_table import align

    worst, frontend = document["largest_accumulator"], document["frontend"]
    lines = [
        f"bits         {document['bits']}{describe_weight_bits(document['weights'])}",
        f"input        {frontend['n_mels']} mel bins of {frontend['sample_rate_hz']} Hz audio, "
        f"{document['inputs'][0]['type']}, real = {document['input_scale']:.6g} * code",
        f"output       {document['vocabulary']} tokens and a blank; "
        + ", ".join(f"{v['name']} {v['type']}" for v in document["outputs"]),
        f"parameters   {document['parameters']:,}; as float32 {4 * document['parameters']:,} bytes, "
        f"{4 * document['parameters'] / document['bytes']:.2f} times this file",
        f"cost         {document['frames']} frames (10 s at a hop of 10 ms): "
        f"{document['macs']:,} MACs, {document['bops']:,} bit operations",
        f"float        {len(document['float_tensors'])} float tensors, {document['integer_tensors']} integer tensors",
        f"proved       no accumulator leaves int32: the largest can reach {worst['bound']:,} of {worst['limit']:,} "
        f"({worst['node']})",
    ]
    lines += [f"provenance   {key}: {_short(value)}" for key, value in document["provenance"].items()]
    headings = (
        "node",
        "op",
        "type",
        "C",
        "frames",
        "weight",
        "bits",
        "K,s,d,p,g",
        "clip",
        "shift",
        "|acc| max",
        "MACs",
    )
    return [*lines, "", *align([headings, *(_model_row(node) for node in document["nodes"])], left={0, 1, 2, 5})]


def _model_row(node: Document) -> tuple[str, ...]:
    is_conv = "macs" in node
    return (
        node["name"],
        str(node.get("kind", node["op"])),
        node["type"],
        str(node["channels"]),
        str(node["frames"]),
        "x".join(map(str, node["weight"])) if is_conv else "",
        f"{node['weight_bits']}x{node['input_bits']}" if is_conv else "",
        _geometry(node) if is_conv else "",
        f"{node['lo']}..{node['hi']}" if "lo" in node and node["type"] != "int32" else "",
        "..".join(dict.fromkeys(map(str, node["shift"]))) if "shift" in node else "",
        f"{node['accumulator']:,}" if is_conv else "",
        f"{node['macs']:,}" if is_conv else "",
    )


def _geometry(node: Document) -> str:
    """Return kernel, stride, dilation, padding, groups; for two-dimensional convolutions as rows x frames."""
    if "height" not in node:
        return ",".join(str(part) for part in (node["weight"][2], *(node[key] for key in _CONV1D)))
    pairs = (node["weight"][2:], *((node[f"{key}_h"], node[f"{key}_t"]) for key in ("stride", "padding")))
    kernel, stride, padding = (f"{rows}x{frames}" for rows, frames in pairs)
    return f"{kernel},{stride},1,{padding},{node['groups']}"


def _render_synthetic(document: Document) -> list[str]:
    from zeroq_asr.report.text_table import align

    settings = document["settings"]
    state = (
        "complete"
        if document["complete"]
        else f"unfinished: {len(document['batches'])} of {settings['batches']} batches"
    )
    lines = [
        f"state        {state}",
        f"spectrograms {document['spectrograms']}",
        f"made for     {document['fingerprint']}",
    ]
    lines += [f"setting      {key}: {_short(value)}" for key, value in settings.items()]
    headings = ("batch", "steps", "loss at start", "at end", "lowest", "worst BatchNorm at end")
    rows = [
        (
            str(n),
            str(b["steps"]),
            *(f"{b[k]:.4f}" for k in ("loss_start", "loss_end", "loss_lowest")),
            str(b["worst_tap"]),
        )
        for n, b in enumerate(document["batches"])
    ]
    return [*lines, "", *align([headings, *rows], left={5})]


def _render_nemo(document: Document) -> list[str]:
    lines = [f"member       {name}: {size:,} bytes" for name, size in document["members"].items()]
    return lines + [f"{key:<12} {_short(text)}" for key, text in _summary_of_config(document["config"])]


def _short(value: object) -> str:
    """Return `value` on one line without control characters, at most 200 characters."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return "".join(c if c.isprintable() else " " for c in text)[:200]


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

    document = describe(arguments.model)
    print(render(document), end="", flush=True)
    if arguments.json:
        write_atomically(arguments.json, (json.dumps(document, indent=2) + "\n").encode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
