"""The text that `inspect` prints for its JSON documents."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from zeroq_asr.report.quantization import describe_weight_bits
from zeroq_asr.report.text_table import align

Document = dict[str, Any]

_CONV1D = ("stride", "dilation", "padding", "groups")


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
