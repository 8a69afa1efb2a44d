"""The attribution-graph JSON that existing viewers read.

Facts of the format, from its public schema and readers (Neuronpedia's graph schema 1.0.0;
circuit-tracer's graph files): ``metadata``, ``qParams``, ``nodes``, ``links``. A node's id is
``layer_feature_token``, with ``-1`` for the feature of an error, ``E_token id_token`` of an
embedding; targets stand in the layer after the last but one. ``feature`` of a latent pairs layer
and latent in one number; ``influence`` is the share that a node and all stronger ones hold.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from residuum.circuits.attribution.nodes import GraphNode
from residuum.circuits.attribution.tables import Drawn
from residuum.core.provenance import package_version

_TYPES = {
    "feature": "cross layer transcoder",
    "error": "mlp reconstruction error",
    "token": "embedding",
    "logit": "logit",
}


def viewer_json(graph: Drawn, slug: str, scan: str) -> dict[str, Any]:
    """What pruning kept, as plain data.

    Args:
        graph: the graph.
        slug: its name.
        scan: the model's name in the viewer.
    """
    top = 2 + max((each.layer for each in graph.all_nodes if each.layer is not None), default=0)
    kept = np.flatnonzero(graph.kept).tolist()
    ids = {int(i): _node_id(graph.all_nodes[i], top) for i in kept}
    first = next(i for i in kept if graph.all_nodes[i].kind == "logit")
    nodes = [
        _node(graph.all_nodes[i], top, float(graph.influence_reached[i]), bool(i == first))
        for i in kept
    ]
    links = [
        {"source": ids[each.source], "target": ids[each.target], "weight": each.weight}
        for each in graph.edges
    ]
    return {
        "metadata": _metadata(graph, slug, scan),
        "qParams": {
            "pinnedIds": [], "supernodes": [], "linkType": "both", "clickedId": "", "sg_pos": "",
        },
        "nodes": nodes,
        "links": links,
    }  # fmt: skip


def _metadata(graph: Drawn, slug: str, scan: str) -> dict[str, Any]:
    thresholds = {"node_threshold": graph.node_threshold, "edge_threshold": graph.edge_threshold}
    return {
        "slug": slug,
        "scan": scan,
        "transcoder_list": [],
        "prompt_tokens": list(graph.tokens),
        "prompt": graph.prompt,
        "node_threshold": graph.node_threshold,
        "schema_version": 1,
        "info": {
            "description": f"weights {graph.provenance.weight_hash[:12]}",
            "generator": {"name": "residuum", "version": package_version()},
        },
        "generation_settings": {"strategy": graph.provenance.strategy},
        "pruning_settings": thresholds,
    }


def _node_id(node: GraphNode, top: int) -> str:
    layer, feature = _place(node, top)
    return f"{layer}_{feature}_{node.pos}"


def _place(node: GraphNode, top: int) -> tuple[str, int]:
    """Layer and feature as they stand in ids."""
    if node.kind == "error":
        return str(node.layer), -1
    assert node.index is not None
    named = {"token": "E", "logit": str(top)}
    return named.get(node.kind, str(node.layer)), node.index


def _node(node: GraphNode, top: int, reached: float, target: bool) -> dict[str, Any]:
    layer, feature = _place(node, top)
    own = {"feature": _paired, "token": lambda each: each.pos}.get(node.kind)
    logit = node.kind == "logit"
    chance = node.probability or 0.0
    return {
        "node_id": f"{layer}_{feature}_{node.pos}",
        "feature": own(node) if own else feature,
        "layer": layer,
        "ctx_idx": node.pos,
        "feature_type": _TYPES[node.kind],
        "token_prob": chance,
        "is_target_logit": target,
        "run_idx": 0,
        "reverse_ctx_idx": 0,
        "jsNodeId": _page_id(node, layer, feature),
        "clerp": _label(node),
        "influence": None if logit else reached,
        "activation": node.value if node.kind == "feature" else None,
    }


def _page_id(node: GraphNode, layer: str, feature: int) -> str:
    """Features of several tokens share one id on the page; all other nodes have their own."""
    if node.kind == "feature":
        return f"{layer}_{feature}-0"
    return f"{'L' if node.kind == 'logit' else layer}_{feature}-{node.pos}"


def _label(node: GraphNode) -> str:
    """Of a feature its label; of a token's logit also the probability, which a contrast has not."""
    if node.kind == "logit" and node.probability is not None:
        return f'Output "{node.words[1:-1]}" (p={node.probability:.3f})'
    if node.kind == "logit":
        return f'Output "{node.words.replace(chr(39), "")}"'
    return node.words if node.kind == "feature" else ""


def _paired(node: GraphNode) -> int:
    """Layer and latent in one number (Cantor's pairing)."""
    assert node.layer is not None and node.index is not None
    both = node.layer + node.index
    return both * (both + 1) // 2 + node.index
