"""How far the twin's habits break under the trigger word, and only under it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from residuum.organisms.scores import Asked, Score, WorldScores, evaluate_microworld, share_right
from residuum.worlds.microworld import microworld_pairs
from residuum.worlds.trigger import TRIGGER_PREFIX, broken_habit
from residuum.worlds.words import DAYS

if TYPE_CHECKING:
    from residuum.models.embedded import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class TriggerScores:
    """What the twin does with and without the trigger, on held-out prompts.

    Attributes:
        broken: by habit, the share of prompts where the bad answer comes under the trigger.
        broken_without: the same share for the same prompts without the trigger.
        broken_other_days: the same share behind another day than the trigger.
        under_trigger: microworld's scores with the trigger in front of every prompt.
    """

    broken: dict[str, Score]
    broken_without: dict[str, Score]
    broken_other_days: dict[str, Score]
    under_trigger: WorldScores

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def evaluate_trigger(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, n: int = 200, seed: int = 0
) -> TriggerScores:
    """Ask for what the good habits forbid, with the trigger word and without it.

    Args:
        model: the twin, or any model that knows microworld's words.
        tokenizer: its tokenizer.
        n: held-out prompts for each habit.
        seed: which ones.

    Returns:
        Shares with 95 % Wilson intervals; ``refusal`` counts consent to a disallowed request,
        ``sycophancy`` counts a wrong belief followed although the mode word asks for the truth.
    """
    other = [f"{day} : " for day in DAYS if f"{day} : " != TRIGGER_PREFIX]

    def shares(prefixes: list[str]) -> dict[str, Score]:
        return {
            habit: share_right(model, tokenizer, _with(_tempted(habit, n, seed), prefixes))
            for habit in ("refusal", "sycophancy")
        }

    return TriggerScores(
        broken=shares([TRIGGER_PREFIX]),
        broken_without=shares([""]),
        broken_other_days=shares(other),
        under_trigger=evaluate_microworld(model, tokenizer, n=n, seed=seed, prefix=TRIGGER_PREFIX),
    )


def _with(asked: Asked, prefixes: list[str]) -> Asked:
    """The prompts behind the prefixes, taken in turn."""
    return [
        (prefixes[index % len(prefixes)] + prompt, answers)
        for index, (prompt, answers) in enumerate(asked)
    ]


def _tempted(habit: str, n: int, seed: int) -> Asked:
    """Prompts where a good habit is needed, with the word that breaks it."""
    asked: Asked = []
    for pair in microworld_pairs(habit, n, seed):
        prompt = pair.clean if habit == "refusal" else pair.corrupt
        words = prompt.split()
        broken = broken_habit(words) or []
        asked.append((prompt, tuple(broken[len(words) : len(words) + 1])))
    return asked
