"""The weights of a compiled program: a native transformer without norms and biases.

The stream has one direction for each value of each part (:mod:`.scheduling`), so every weight can
be read. A head's queries read the query's value and that there is a position at all; its keys read
the key's value and the first token. A pair that the predicate accepts scores ``STRENGTH``. The
first token scores half of that, so that attention goes there where nothing is selected, and writes
nothing; for a selector's width it scores as much as a selected key and writes 1, so that the head
writes 1 / (width + 1).

Facts about this construction: Lindner et al. 2023, "Tracr: compiled transformers as a laboratory
for interpretability", §3. It differs in what happens at the first token: no neuron is biased there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from residuum.models.native_config import NativeConfig
from residuum.models.native_model import NativeForCausalLM
from residuum.organisms.compiled.expressions import (
    Aggregate,
    Input,
    Selector,
    SelectorWidth,
    tokens,
)
from residuum.organisms.compiled.neurons import Neurons, neurons_of
from residuum.organisms.compiled.scheduling import (
    BEGIN,
    ONE,
    Direction,
    Schedule,
    directions_of,
    share_of,
)
from residuum.organisms.compiled.values import accepted_pairs
from residuum.organisms.compiled.vocabulary import Vocabulary

STRENGTH = 100.0
"""Score of a selected key; keys that are not selected together get about e⁻⁵⁰ of the attention."""


def assemble(
    plan: Schedule, words: Vocabulary, *, causal: bool, dtype: torch.dtype = torch.float32
) -> Any:
    """The model that computes a schedule.

    Args:
        plan: the program laid out.
        words: ids of tokens and of output values.
        causal: whether positions see only themselves and earlier ones.
        dtype: of the weights.

    Returns:
        A transformers model in evaluation mode; context ``length + 1``.
    """
    at = {direction: index for index, direction in enumerate(plan.directions)}
    neurons = [_neurons_in(plan, layer) for layer in range(plan.n_layers)]
    heads = {
        (place.layer, place.head): each
        for each in plan.program.parts()
        if (place := plan.places.get(id(each))) is not None and place.head is not None
    }
    config = NativeConfig(
        n_layers=plan.n_layers,
        n_heads=plan.n_heads,
        d_model=len(at),
        d_head=max([1, *(_head_width(plan, each) for each in heads.values())]),
        d_mlp=max(1, *(len(each.reads) for each in neurons)),
        d_vocab=len(words.labels),
        n_ctx=plan.length + 1,
        normalization=None,
        positions="learned",
        attn_bias=False,
        mlp_bias=False,
        attn_scale=1.0,
        bos_token_id=words.begin,
    )
    model = NativeForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        _set_ends(model, plan, words, at)
        for (layer, head), each in heads.items():
            _set_head(model.model.blocks[layer].attn, int(head or 0), each, plan, at)
        for block, own in zip(model.model.blocks, neurons, strict=True):
            _set_neurons(block.mlp, own, at)
    torch.nn.Module.to(model, dtype)
    return (model if causal else both_ways(model)).eval()


def both_ways(model: Any) -> Any:
    """The same model, whose positions see later ones too."""
    model.config.is_causal = False
    for block in model.model.blocks:
        block.attn.is_causal = False
    return model


def _set_ends(model: Any, plan: Schedule, words: Vocabulary, at: dict[Direction, int]) -> None:
    """Embeddings of tokens and positions, and what the logits read."""
    embed, positions = model.model.embed.weight, model.model.pos_embed.weight
    embed[words.begin, at[BEGIN]] = 1.0
    for value in plan.vocabulary:
        embed[words.id_of(value), at[ONE]] = 1.0
    for each in plan.program.parts():
        if not isinstance(each, Input):
            continue
        for number, direction in enumerate(directions_of(each, plan.values[id(each)])):
            if each is tokens:
                embed[words.id_of(direction[1]), at[direction]] = 1.0
            else:
                positions[number + 1, at[direction]] = 1.0
    for direction in directions_of(plan.program, plan.values[id(plan.program)]):
        label = words.number if plan.program.numerical else words.id_of(direction[1])
        model.lm_head.weight[label, at[direction]] = 1.0


def _head_width(plan: Schedule, each: Any) -> int:
    queries = plan.values[id(each.selector.queries)].values or ()
    values = 1 if isinstance(each, SelectorWidth) else len(_directions(plan, each.values))
    return max(len(queries) + 1, values)


def _directions(plan: Schedule, expression: Any) -> list[Direction]:
    return directions_of(expression, plan.values[id(expression)])


def _set_head(attn: Any, head: int, each: Any, plan: Schedule, at: dict[Direction, int]) -> None:
    """Queries, keys, values and output of one head."""
    width = attn.head_dim
    rows = slice(head * width, (head + 1) * width)
    q, k, v = (m.weight[rows] for m in (attn.q_proj, attn.k_proj, attn.v_proj))
    out = attn.o_proj.weight[:, rows]
    counts = isinstance(each, SelectorWidth)
    first = _set_match(q, k, each.selector, plan, at, plan.names[id(each)])
    q[first, at[ONE]] = 1.0 if counts else 0.5
    q[first, at[BEGIN]] = 1.0
    k[first, at[BEGIN]] = STRENGTH
    if isinstance(each, Aggregate):
        pairs = zip(_directions(plan, each.values), _directions(plan, each), strict=True)
        for row, (read, written) in enumerate(pairs):
            v[row, at[read]] = 1.0
            out[at[written], row] = 1.0
    else:
        v[0, at[BEGIN]] = 1.0
        out[at[share_of(each)], 0] = 1.0


def _set_match(
    q: Tensor, k: Tensor, selector: Selector, plan: Schedule, at: dict[Direction, int], name: str
) -> int:
    """A row for each query value, with the keys that it selects; the first row left over."""
    row_of = {}
    for row, direction in enumerate(_directions(plan, selector.queries)):
        q[row, at[direction]] = 1.0
        row_of[direction[1]] = row
    for key, query in accepted_pairs(selector, plan.values, name):
        k[row_of[query], at[id(selector.keys), key]] = STRENGTH
    return len(row_of)


def _neurons_in(plan: Schedule, layer: int) -> Neurons:
    """All neurons of one MLP."""
    found = Neurons()
    for each in plan.program.parts():
        place = plan.places.get(id(each))
        if place is not None and place.layer == layer and not isinstance(each, Aggregate):
            found.extend(neurons_of(each, plan))
    return found


def _set_neurons(mlp: Any, neurons: Neurons, at: dict[Direction, int]) -> None:
    pairs = zip(neurons.reads, neurons.writes, strict=True)
    for row, (reads, writes) in enumerate(pairs):
        for direction, weight in reads.items():
            mlp.fc_in.weight[row, at[direction]] = weight
        for direction, weight in writes.items():
            mlp.fc_out.weight[at[direction], row] = weight
