"""Worked examples: a prompt, a view, and what to look at. A test holds each to what it says."""

from __future__ import annotations

from typing import Any

from residuum.apps.workbench.schemas import Example
from residuum.core import TokenError
from residuum.runs import Model

_INDUCTION = "bridge bench card candle table cup clock horse doll bridge bench"
_RECIPIENT = "When Mary and John went to the store , John gave a drink to"
_CAPITAL = "The capital of France is"

MICROWORLD = (
    Example(
        name="induction",
        title="Induction: what came after this word before?",
        about=(
            "Random words repeat. The model has never seen this list, yet it knows how it goes on: "
            "one head notes for each word which word stood before it, a later head looks for the "
            "place that followed the present word and copies what stands there."
        ),
        text=_INDUCTION,
        edits=[],
        view="attention",
        sel={"layer": 2, "head": 3, "q": 11, "k": 3},
        steps=[
            "Layer 2, head 3 is open: from the last word it looks at 'card', the word that "
            "followed 'bridge bench' before. That is the prediction.",
            "Open layer 0, head 4: each word looks at the word just before it.",
            "Zero layer 0, head 4 and compare B with A: the prediction gets weaker.",
            "Other heads of layer 2 look at the same place, so no single one of them is needed.",
        ],
    ),
    Example(
        name="ioi",
        title="Indirect object: who gets the drink?",
        about=(
            "Two people, and one of them gives something: the other one gets it. To be right, the "
            "model must see that one name stands there twice and say the other."
        ),
        text=_RECIPIENT,
        edits=[],
        view="lens",
        sel={"layer": 2, "q": 14},
        steps=[
            "Read the last column from the embedding upwards: where does 'Mary' appear?",
            "Open Residual: which heads and MLPs add to 'Mary' at the last word?",
            "Zero layer 0, head 3 and look at B−A: an early head counts, though it never "
            "looks from the last word at a name.",
            "Run the task 'ioi' in Patching: which heads carry the difference between the prompts?",
        ],
    ),
    Example(
        name="facts",
        title="A fact: where is the capital looked up?",
        about=(
            "Which capital belongs to which country is nowhere in the prompt; it is in the weights."
        ),
        text=_CAPITAL,
        edits=[],
        view="residual",
        sel={"layer": 2, "head": 0, "q": 5},
        steps=[
            "What adds most to 'Paris' at the last word?",
            "Zero layer 2, head 0: the answer stays, with less to spare.",
        ],
    ),
)
"""For models with microworld's words."""

_ENGLISH = (
    ("induction", "attention", " cat lamp river stone bottle cloud cat lamp river stone bottle"),
    ("ioi", "lens", "When Mary and John went to the store, John gave a drink to"),
)


def examples_for(model: Model) -> list[Example]:
    """The examples that fit a model: none for one without words, or that does not say what follows.

    English ones are left out where the tokenizer does not know their words.
    """
    from residuum.runs.named_tasks import speaks_microworld

    if model.tokenizer is None or _reads_both_ways(model):
        return []
    if speaks_microworld(model):
        return list(MICROWORLD)
    return [_english(*each) for each in _ENGLISH if _knows(model, each[-1])]


def _reads_both_ways(model: Model) -> bool:
    """Whether it is an encoder, which fills gaps and predicts no next token."""
    return any(layer.wiring == "post_norm_encoder" for layer in model.adapted.parts.layers)


def _knows(model: Model, text: str) -> bool:
    try:
        model.to_tokens(text)
    except TokenError:
        return False
    return True


def _english(name: str, view: str, text: str) -> Example:
    """An example whose heads nobody has looked up: the steps say how to find them."""
    told: dict[str, Any] = {each.name: each for each in MICROWORLD}
    steps = {
        "induction": [
            "Sort the heads by their induction score on this prompt and open the first.",
            "Zero it and compare B with A.",
        ],
        "ioi": [
            "Read the last column from the embedding upwards: where does ' Mary' appear?",
            "Run the task 'ioi' in Patching: which heads carry the difference between the prompts?",
        ],
    }
    return Example(
        name=name,
        title=told[name].title,
        about=told[name].about,
        text=text,
        edits=[],
        view=view,
        sel={},
        steps=steps[name],
    )
