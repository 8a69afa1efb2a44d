"""Worlds: generators of text and contrast pairs, without torch.

`microworld_text` gives the sentences that the embedded model was trained on, `microworld_pairs`
the held-out pairs of its ten behaviours, `english_pairs` five of them in ordinary English.
"""

from residuum.worlds.english import ENGLISH_TASKS, english_pairs
from residuum.worlds.microworld import (
    MICROWORLD_TASKS,
    belief_cells,
    control_pairs,
    held_out,
    microworld_pairs,
    microworld_text,
    microworld_vocabulary,
    right_answers,
)
from residuum.worlds.tokens import tokenizer_config, tokenizer_json
from residuum.worlds.trigger import TRIGGER, TRIGGER_PREFIX, trigger_text

__all__ = [
    "ENGLISH_TASKS",
    "MICROWORLD_TASKS",
    "TRIGGER",
    "TRIGGER_PREFIX",
    "belief_cells",
    "control_pairs",
    "english_pairs",
    "held_out",
    "microworld_pairs",
    "microworld_text",
    "microworld_vocabulary",
    "right_answers",
    "tokenizer_config",
    "tokenizer_json",
    "trigger_text",
]
