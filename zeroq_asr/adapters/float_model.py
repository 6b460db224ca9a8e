"""What an adapter makes of a checkpoint."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from zeroq_asr.frontend.spec import FrontendSpec
from zeroq_asr.ir import Graph


@dataclass(frozen=True, eq=False)
class FloatModel:
    """A trained recogniser, ready to be calibrated and quantized.

    graph: from "mel" [B, n_mels, T] to "logits" [B, V + 1, T'], before any softmax; the last channel is CTC's blank.
    frontend: how audio becomes "mel". vocabulary: the V pieces of text; joined in order they are the transcript (for
    sub-word models a piece that starts a word begins with a space). fingerprint: SHA-256 (hex) of everything that
    decides what the model answers. name: what the user called it. family: "quartznet", "jasper",
    "citrinet", "conformer" or "fastconformer".
    """

    graph: Graph
    frontend: FrontendSpec
    vocabulary: tuple[str, ...]
    fingerprint: str
    name: str
    family: str


def fingerprint(graph: Graph, frontend: FrontendSpec, vocabulary: tuple[str, ...]) -> str:
    """Return the SHA-256 (hex) of a model: nodes and attributes, constants (name, shape, bytes), front end, vocabulary.

    What does not change an answer does not enter it: file names, the training section of a config, the archive's form.
    """
    nodes = [[node.op, list(node.inputs), node.output, sorted(node.attrs.items())] for node in graph.nodes]
    shapes = {name: [str(array.dtype), list(array.shape)] for name, array in graph.constants.items()}
    channels = {name: value.channels for name, value in graph.values.items()}
    described = [nodes, list(graph.inputs), list(graph.outputs), channels, shapes, frontend.to_json(), list(vocabulary)]
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for name in sorted(graph.constants):
        digest.update(graph.constants[name].tobytes())
    return digest.hexdigest()
