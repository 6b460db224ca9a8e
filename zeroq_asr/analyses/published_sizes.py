"""The published sizes of every family, counted: `python -m zeroq_asr.analyses.published_sizes` prints Markdown."""

from __future__ import annotations

from collections import Counter

from eval.cost import total_macs
from zeroq_asr.analyses.cost import PAPER_FRAMES, count_costs, count_products
from zeroq_asr.models.full_size import count_parameters, full_size_graph, full_size_names

_HEADINGS = ("model", "parameters", "float32 MB", "conv, linear", "BatchNorm", "LayerNorm", "GMAC", "with attention")


def size_row(name: str) -> tuple[str, ...]:
    """Return the cells of one model: MACs are of 10 s, in 10^9, without and with the products inside attention."""
    graph = full_size_graph(name)
    ops = Counter(node.op for node in graph.nodes)
    layers, products = count_costs(graph, PAPER_FRAMES).values(), count_products(graph, PAPER_FRAMES).values()
    parameters = count_parameters(graph)
    return (
        name,
        f"{parameters:,}",
        f"{4e-6 * parameters:.1f}",
        f"{len(layers) - ops['glu']}",  # the convolution in front of a gate is two here
        f"{ops['batch_norm']}",
        f"{ops['layer_norm']}",
        f"{total_macs(layers) / 1e9:.2f}",
        f"{total_macs([*layers, *products]) / 1e9:.2f}" if products else "-",
    )


def size_table() -> str:
    """Return the table of all sizes."""
    rows = [_HEADINGS, ("---", *["---:"] * (len(_HEADINGS) - 1)), *map(size_row, full_size_names())]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


if __name__ == "__main__":
    print(size_table(), end="")
