"""The one glossary of axis names. Every shape in this package is written in these words."""

from __future__ import annotations

AXES: dict[str, str] = {
    "batch": "prompts in the batch",
    "pos": "token positions",
    "q_pos": "position that attends (destination)",
    "k_pos": "position attended to (source)",
    "layer": "transformer blocks, from 0",
    "head": "attention heads; key/value heads for k, v of a grouped model",
    "neuron": "one unit of an MLP",
    "expert": "experts of a mixture",
    "latent": "latents of a sparse dictionary",
    "d_model": "width of the residual stream",
    "d_head": "width of a head",
    "d_mlp": "width of an MLP's hidden layer",
    "d_vocab": "tokens of the vocabulary",
    "edge": "edges of a circuit graph",
    "step": "training or generation steps",
    "seed": "random seeds",
}
"""Axis name -> what it counts."""

PART_LETTERS: dict[str, str] = {"H": "head", "N": "d_mlp", "E": "expert", "F": "latent"}
"""Letter in an address -> the axis it indexes: ``[H6]`` head, ``[N512]`` neuron."""
