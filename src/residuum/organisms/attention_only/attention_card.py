"""Model cards of the attention-only organisms, written from measured scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from residuum.organisms.attention_only.sequences import LONGEST, SHORTEST
from residuum.organisms.attention_only.skip_trigrams import GAPS, SOURCES

_DATA = {
    "repeats": f"a random block of {SHORTEST} to {LONGEST} tokens, repeated until the context is "
    "full; the block's tokens are independent draws, its length is drawn anew for each sequence, "
    "so that no fixed offset says where to look",
    "skip_trigrams": f"random filler with one of {SOURCES} source tokens A and, "
    f"{GAPS.start} to {GAPS.stop - 1} places later, one of two cue tokens B, behind which comes "
    "the token C that A and B decide",
}
_LIMITS = {
    "induction_2l": "An organism of three thousand steps on synthetic data. Its induction is not "
    "measured on words, nor at contexts past its own.",
    "induction_2l_nopos": "Without position embedding the causal mask still leaks position. What "
    "is learned through it is measured here, not explained.",
    "induction_1l": "The plateau that two layers are measured against.",
    "skip_trigram_1l": "Held out are one in four distances of each pair of A and B, not pairs of A "
    "and B: a pair never seen has no answer.",
}


def write_attention_card(scores: Mapping[str, Any], path: Path) -> None:
    """Write the model card.

    Args:
        scores: content of ``scores.json``.
        path: where the card goes.
    """
    recipe = scores["recipe"]
    layers = f"{recipe['layers']} layer{'s' if recipe['layers'] > 1 else ''}"
    positions = "learned positions" if recipe["positions"] else "no position embedding"
    norm = "LayerNorm" if recipe["normalization"] else "no norm"
    steps = f"{recipe['steps']} steps of {recipe['batch']} sequences"
    path.write_text(
        f"""# {scores["model"]}

An attention-only transformer of {scores["parameters"]:,} parameters: {layers} of {recipe["heads"]}
heads, width {recipe["d_model"]}, context {recipe["context"]}, {recipe["d_vocab"]} tokens,
{positions}, {norm}, no MLP. Trained by this project on data that it generates:
{_DATA[recipe["data"]]}.
License: Apache-2.0, as the package; no third party's data is in it.

## Scores

On fresh sequences (seed {scores["scores_seed"]}, which no training batch has).

{_scores(scores)}

## Recipe

`residuum organisms train {scores["model"]} --seed {recipe["seed"]} --steps {recipe["steps"]}`

AdamW, learning rate {recipe["learning_rate"]}, constant, weight decay {recipe["weight_decay"]};
{steps}, first weights of standard deviation
{recipe["initializer_range"]}. A checkpoint every {recipe["check_every"]} steps, each measured
(`training_log.jsonl`). Took {scores["seconds"]:.0f} s on {scores["threads"]} thread(s), torch
{scores["torch"]}.

## Limits

{_LIMITS.get(scores["model"], "Synthetic data only.")}
""",
        encoding="utf-8",
    )


def _scores(scores: Mapping[str, Any]) -> str:
    if scores["recipe"]["data"] == "repeats":
        rows = [
            ("prefix matching, best head", f"{_best(scores['prefix_matching'])}"),
            ("attention to the token before, best head", f"{_best(scores['previous_token'])}"),
            (
                "loss on tokens that follow a token seen before",
                f"{scores['repeated_nats']:.3f} nats",
            ),
            ("loss within the first period", f"{scores['first_nats']:.3f} nats"),
            ("in-context learning (loss late minus early)", f"{scores['icl_nats']:.3f} nats"),
        ]
    else:
        rows = [
            ("C is the most likely token, held-out distances", f"{100 * scores['accuracy']:.1f} %"),
            ("loss on C", f"{scores['answer_nats']:.3f} nats"),
            ("the same with A replaced by filler", f"{100 * scores['accuracy_without']:.1f} %"),
        ]
    return "\n".join(["| what | measured |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)])


def _best(scores: list[list[float]]) -> str:
    """The highest score and its head, as ``0.919 (L1 H3)``."""
    value, layer, head = max(
        (value, layer, head) for layer, row in enumerate(scores) for head, value in enumerate(row)
    )
    return f"{value:.3f} (L{layer} H{head})"
