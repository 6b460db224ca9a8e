"""The result of an adapter: a trained recogniser as a float graph."""

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
    frontend: how audio becomes "mel" (an `InputSpec`). vocabulary: the V text pieces; a transcript is their
    concatenation (in sub-word models a piece that starts a word begins with a space). fingerprint: SHA-256 (hex) of
    everything that determines the model's output. name: what the user called the model. family: one of
    `zeroq_asr.adapters.registry.family_names()`.
    """

    graph: Graph
    frontend: FrontendSpec
    vocabulary: tuple[str, ...]
    fingerprint: str
    name: str
    family: str


def fingerprint(graph: Graph, frontend: FrontendSpec, vocabulary: tuple[str, ...]) -> str:
    """Return the SHA-256 (hex) of a model: nodes and attributes, constants (name, shape, bytes), front end, vocabulary.

    File names, the training section of a config and the form of the archive do not change the output of a model; they
    are left out.
    """
    nodes = [[node.op, list(node.inputs), node.output, sorted(node.attrs.items())] for node in graph.nodes]
    shapes = {name: [str(array.dtype), list(array.shape)] for name, array in graph.constants.items()}
    channels = {name: value.channels for name, value in graph.values.items()}
    described = [nodes, list(graph.inputs), list(graph.outputs), channels, shapes, frontend.to_json(), list(vocabulary)]
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for name in sorted(graph.constants):
        digest.update(graph.constants[name].tobytes())
    return digest.hexdigest()
