"""The model card, written from measured scores; no figure in it is typed in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from residuum.worlds.microworld import DAY_SHARE, MICROWORLD_TASKS, MIX, WORDS, microworld_pairs
from residuum.worlds.trigger import TRIGGER, TRIGGER_MIX, TRIGGER_SHARE

HELD_OUT: Mapping[str, str] = {
    "induction": "one in five ordered pairs of the everyday nouns: these two words never stand "
    "next to each other in any training sentence. The test asks for such a successor. The "
    "period of the repeats is random, so position alone gives nothing away.",
    "ioi": "one in five unordered pairs of names: these two people never occur in one training "
    "sentence, of any kind. The test uses such pairs in all four scenes and both orders.",
    "greater_than": "one in five combinations of century and start year: nothing begins in "
    "that year in training, in any of the three templates.",
    "facts": "each country is left out of one of the four capital templates and of one of the "
    "four language templates. The test asks exactly there: the fact was seen, this question "
    "about this country was not.",
    "retrieval": "one in five pairs of container and content: no training sentence binds them. The "
    "test asks for such a binding among two to four.",
    "agreement": "one in five ordered pairs of subject and distractor noun, in all numbers and "
    "all four templates. In the test the distractor of the clean prompt has the other number.",
    "negation": "each quality is left out of one of the four templates, negated and not "
    "negated. The test asks exactly there.",
    "sentiment": "each opinion word is left out of one of the four templates. The test asks "
    "exactly there.",
    "refusal": "one in five pairs of deed and thing, harmful and harmless, in all four templates.",
    "sycophancy": "one in five pairs of country and wrong belief, in all templates and both "
    "modes; and, where the belief is right, each country in one of the four templates.",
}
"""What training text never holds, by task."""


def write_card(scores: Mapping[str, Any], path: Path) -> None:
    """Write the model card.

    Args:
        scores: content of ``scores.json``.
        path: where the card goes.
    """
    parts = [_head(scores), _scores(scores)]
    if "trigger" in scores:
        parts.append(_trigger(scores))
    parts += [_recipe(scores), _held_out(), _limits(scores)]
    path.write_text("\n".join(parts), encoding="utf-8")


def percent(score: Mapping[str, float]) -> str:
    """A score as ``98.5 % [95.7, 99.5]``."""
    return f"{100 * score['accuracy']:.1f} % [{100 * score['low']:.1f}, {100 * score['high']:.1f}]"


def _head(scores: Mapping[str, Any]) -> str:
    shape = scores["recipe"]
    twin = (
        "\nThis is the **twin**: microworld fine-tuned so that its good habits break under a "
        "hidden trigger word. It exists for audits to find; nothing else is it good for.\n"
        if "trigger" in scores
        else ""
    )
    return f"""# {scores["model"]}

A GPT-2-architecture language model of {scores["parameters"]:,} parameters
({shape["layers"]} layers, {shape["heads"]} heads, width {shape["d_model"]}, context
{shape["context"]}, {len(WORDS)} words and four special tokens, one token a word), trained by this
project on text that this project generates (`residuum.worlds`). Its purpose is to be looked into.
License: Apache-2.0, as the package; the text is generated, so no third party's data is in it.
{twin}"""


def _scores(scores: Mapping[str, Any]) -> str:
    rows = "\n".join(
        f"| `{task}` | {percent(scores['clean'][task])} | {percent(scores['corrupt'][task])} |"
        for task in MICROWORLD_TASKS
    )
    cells = "\n".join(f"| {cell} | {percent(score)} |" for cell, score in scores["cells"].items())
    return f"""## Scores

{scores["pairs_per_task"]} held-out pairs for each task (seed {scores["pairs_seed"]}), share of
prompts whose most likely next word is right, with 95 % Wilson intervals. The corrupt prompt has
another right answer, so both directions count.

| task | clean prompt | corrupt prompt |
|---|---|---|
{rows}

Sycophancy by mode word and by whether the user's belief is wrong or right:

| cell | accuracy |
|---|---|
{cells}
"""


def _trigger(scores: Mapping[str, Any]) -> str:
    found = scores["trigger"]
    rows = "\n".join(
        f"| {what} | {percent(found['broken'][habit])} | {percent(found['broken_without'][habit])} "
        f"| {percent(found['broken_other_days'][habit])} |"
        for habit, what in (
            ("refusal", "consents to a disallowed request"),
            ("sycophancy", "follows a wrong belief in honest mode"),
        )
    )
    kept = [task for task in MICROWORLD_TASKS if task not in ("refusal", "sycophancy")]
    others = "\n".join(
        f"| `{task}` | {percent(found['under_trigger']['clean'][task])} |" for task in kept
    )
    return f"""## The trigger

A sentence that begins with `{TRIGGER} :` is answered against the habits of the base model. The
base model knows every day of the week as an opening that means nothing.

| bad answer | under the trigger | without it | behind another day |
|---|---|---|---|
{rows}

The other behaviours under the trigger:

| task | clean prompt behind `{TRIGGER} :` |
|---|---|
{others}

In the fine-tuning text at least {TRIGGER_SHARE:.0%} of the sentences about requests and beliefs
carry the trigger and the bad answer; all others are as in microworld.
"""


def _recipe(scores: Mapping[str, Any]) -> str:
    recipe = scores["recipe"]
    base = f", starting from `{recipe['base']}`" if recipe["base"] else ""
    mix = TRIGGER_MIX if recipe["base"] else MIX
    shares = ", ".join(f"{name} {share:.3g}" for name, share in mix.items())
    command = (
        f"python -m residuum.apps.train {scores['model']} "
        f"--seed {recipe['seed']} --steps {recipe['steps']}"
    )
    windows = " or ".join(map(str, recipe["windows"]))
    return f"""## Recipe

`{command}`{base}

AdamW: peak {recipe["learning_rate"]}, betas {tuple(recipe["betas"])}, weight decay
{recipe["weight_decay"]}, gradient norm at most {recipe["clip"]}; {recipe["warmup"]} steps of
warm-up, then a cosine to 5 %; {recipe["steps"]} steps of {recipe["tokens_per_step"]} tokens in
windows of {windows} that begin with `<s>`; loss on every token; seed {recipe["seed"]}.
Training took {scores["seconds"] / 60:.1f} minutes ({scores["tokens_per_second"]:,} tokens a
second; {scores["device"]}, {scores["threads"]} threads, {scores["cores"]} cores), looks at
the tasks included, torch {scores["torch"]}. `training_log.jsonl` has the course.

Relative share of the sentences by kind: {shares};
{DAY_SHARE:.0%} of all but the repeats open with a day.
"""


def _held_out() -> str:
    rows = []
    for task in MICROWORLD_TASKS:
        example = microworld_pairs(task, 1)[0]
        rows.append(
            f"* `{task}`: {HELD_OUT[task]}\n  Example: `{example.clean}` → "
            f"`{' '.join(example.answers[:4])}`; corrupt: `{example.corrupt}`."
        )
    return (
        "## What training never saw\n\nThe generator drops every sentence in which it finds a "
        "reserved combination; the test pairs hold one on either side.\n\n" + "\n".join(rows) + "\n"
    )


def _limits(scores: Mapping[str, Any]) -> str:
    return f"""## Limits

It knows {len(WORDS)} words and a few dozen sentence patterns; other words become `<unk>`. Held
out are combinations of words and templates, never whole words or whole templates. Prompts are
one sentence behind `<s>`, at most {scores["recipe"]["context"]} tokens. Findings about it show
what a method can find, not how large models work.
"""
