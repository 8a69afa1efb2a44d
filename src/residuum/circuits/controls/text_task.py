"""Plain text as a task: prefixes, and the tokens that follow them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from residuum.core import TaskError
from residuum.runs import Model, Task, whole_number


def text_task(model: Model, texts: Any, n: int = 64, seed: int = 0) -> Task:
    """Next-token prediction on plain text: ``n`` prefixes with the tokens that follow.

    Clean and corrupt prompts are the same, so only references that are no counterfactual mean
    anything. The metric is ``loss_nats``; a text's prefixes share its label as template.

    Args:
        model: whose tokenizer reads the texts.
        texts: a text or several; or rows of token ids.
        n: prefixes, drawn without replacement; all, if there are fewer.
        seed: of the draw.

    Raises:
        TaskError: no text of two tokens or more.
        TokenError: unknown words.

    >>> import residuum as rz
    >>> model = rz.load("microworld")
    >>> task = text_task(model, ["The soup is never wet , so it is dry ."], n=3)
    >>> task.metric, len(task)
    ('loss_nats', 3)
    """
    whole_number(n, "n", 1)
    given: Sequence[str] = [texts] if isinstance(texts, str) else list(texts)
    rows = [model.to_tokens(each)[0] if isinstance(each, str) else each for each in given]
    ids = [torch.as_tensor(each)[: model.n_ctx].tolist() for each in rows]
    places = [(row, end) for row, each in enumerate(ids) for end in range(2, len(each))]
    if not places:
        raise TaskError(
            "no text has a token to foretell", mend="give texts of three tokens or more"
        )
    order = np.random.default_rng(seed).permutation(len(places))[:n]
    chosen = sorted(places[at] for at in order.tolist())
    longest = max(end for _, end in chosen)
    clean = torch.zeros(len(chosen), longest, dtype=torch.long)
    for row, (text, end) in enumerate(chosen):
        clean[row, :end] = torch.tensor(ids[text][:end])
    return Task.from_pairs(
        clean=clean,
        corrupt=clean.clone(),
        answers=torch.tensor([ids[text][end] for text, end in chosen]),
        lengths=torch.tensor([end for _, end in chosen]),
        templates=[f"text {text}" for text, _ in chosen],
        name="text",
        metric="loss_nats",
    )
