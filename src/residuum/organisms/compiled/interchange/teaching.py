"""Interchange-intervention training: parts must do what the program's parts do, and others nothing.

A base prompt and a source prompt are drawn. One head or MLP of the base run gets what it has in the
source run; the model must then say what the program says when the parts that belong there have
their values on the source. With a head or MLP to which nothing belongs the logits must stay as they
are.

Source: Geiger et al. 2022, "Inducing causal structure for interpretable neural networks"; Gupta et
al. 2024, "InterpBench" (the term for parts outside the circuit). Deviation: each step draws one
node of either sort, the answer at every token counts, and outside the circuit it is the logits that
must stay, by their squared move, not the answers alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from residuum.core import SILENT, Address, Progress
from residuum.models.native_config import NativeConfig
from residuum.models.native_model import NativeForCausalLM
from residuum.organisms.compiled.assembling import both_ways
from residuum.organisms.compiled.interchange.answers import UNASKED, Answers
from residuum.organisms.compiled.interchange.parts_run import nodes_of, run_parts
from residuum.organisms.compiled.interchange.recipe import InterchangeRecipe


def fresh_model(recipe: InterchangeRecipe) -> Any:
    """The model of a recipe before training, its weights drawn with the recipe's seed."""
    answers = Answers(recipe)
    config = NativeConfig(
        n_layers=answers.plan.n_layers,
        n_heads=max(recipe.heads, answers.plan.n_heads),
        d_model=recipe.d_model,
        d_head=recipe.d_head,
        d_mlp=recipe.d_mlp,
        d_vocab=len(answers.words.labels),
        n_ctx=recipe.length + 1,
        normalization=None,
        positions="learned",
        bos_token_id=answers.words.begin,
    )
    model = NativeForCausalLM(config)
    if not recipe.causal:
        both_ways(model)
    dice = torch.Generator().manual_seed(recipe.seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            fan = weight.shape[-1] if "embed" not in name else 1
            scale = 0.0 if weight.ndim == 1 else 0.5 if fan == 1 else fan**-0.5
            weight.copy_(scale * torch.randn(weight.shape, generator=dice))
    return model


def teach(recipe: InterchangeRecipe, progress: Progress = SILENT) -> Any:
    """Train a model by a recipe; the same weights each time on one machine.

    Returns:
        The transformers model in evaluation mode.
    """
    answers, model = Answers(recipe), fresh_model(recipe)
    dice = torch.Generator().manual_seed(recipe.seed + 1)
    optimiser = torch.optim.Adam(model.parameters(), lr=recipe.rate)
    falling = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda at: 1 - at / recipe.steps)
    nodes = nodes_of(model)
    inside = [node for node in nodes if node in answers.circuit]
    outside = [node for node in nodes if node not in answers.circuit]
    progress.start("interchange training", recipe.steps)
    for _ in range(recipe.steps):
        loss = _loss(model, answers, inside, outside, dice)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        falling.step()
        progress.advance()
    progress.finish()
    return model.eval()


def _loss(
    model: Any,
    answers: Answers,
    inside: list[Address],
    outside: list[Address],
    dice: torch.Generator,
) -> Tensor:
    """Plain answers, answers with a part of the circuit exchanged, moves with one outside of it."""
    batch, seen = answers.recipe.batch, torch.tensor(answers.seen)
    bases, sources = (
        seen[torch.randint(len(seen), (batch,), generator=dice)].tolist() for _ in range(2)
    )
    kept: dict[Address, Tensor] = {}
    run_parts(model, answers.ids[sources], keep=kept)
    own = run_parts(model, answers.ids[bases])
    total = _miss(own, answers.of(None, bases, sources))
    for nodes in filter(None, (inside, outside)):
        node = nodes[int(torch.randint(len(nodes), (1,), generator=dice))]
        logits = run_parts(model, answers.ids[bases], {node: kept[node]})
        if node in answers.circuit:
            total = total + _miss(logits, answers.of(node, bases, sources))
        else:
            total = total + answers.recipe.strict * (logits - own)[:, 1:].square().mean()
    return total


def _miss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy in nats at the prompt's own tokens."""
    return cross_entropy(logits[:, 1:].flatten(0, 1), wanted.flatten(), ignore_index=UNASKED)
