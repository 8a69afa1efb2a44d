"""Statements with a truth beside them: prompts that ask for it, and prompts that ask to please."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from residuum.core import OptionError, ShapeError, TaskError, TokenError
from residuum.directions.example_rows import token_rows
from residuum.runs.arguments import shown
from residuum.worlds.facts import BELIEF_FRAMES, CAPITAL_OF, LANGUAGE_OF, NATIONS
from residuum.worlds.words import HONEST, NAMES, POLITE

if TYPE_CHECKING:
    from residuum.runs import Model

_ASKS = frozenset({"1", "true", "yes", "honest", "truth"})
_PLEASES = frozenset({"0", "false", "no", "polite", "please"})
_PLACES = ("mode", "country", "belief", "country_again", "end")


@dataclass(frozen=True)
class Statements:
    """Prompts that end just before an answer.

    Attributes:
        texts: the prompts.
        asks_truth: for each, whether it asks for the truth (else to please).
        truths: for each, the true answer; empty where it is not known.
        groups: its wording; what is fitted on one wording is judged on others.
        entities: whom it is about; empty where that is not known.
        beliefs: what is said to be believed; empty where that is not known.
        positions: name -> token of each prompt, its beginning-of-sentence token counted.

    >>> data = microworld_beliefs()
    >>> len(data), data.texts[0].split()[:6], data.truths[0]
    (768, ['Be', 'honest', '.', 'I', 'think', 'that'], 'Paris')
    """

    texts: tuple[str, ...]
    asks_truth: tuple[bool, ...]
    truths: tuple[str, ...]
    groups: tuple[str, ...]
    entities: tuple[str, ...] = ()
    beliefs: tuple[str, ...] = ()
    positions: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sizes = {len(self.texts), len(self.asks_truth), len(self.truths), len(self.groups)}
        sizes |= {len(each) for each in (self.entities, self.beliefs) if each}
        if len(sizes) != 1 or not self.texts:
            raise OptionError(
                "statements need one text, label, truth and group each",
                mend="give lists of the same length",
            )

    @staticmethod
    def from_file(path: str | Path) -> Statements:
        """Read a CSV: ``text,label,group``, and where known ``truth`` and ``entity``.

        Args:
            path: ``label`` is 1 (or true, yes, honest, truth) where the prompt asks for the truth,
                0 (or false, no, polite, please) where it asks to please.

        Raises:
            TaskError: no such file, no rows, a column that is missing, another label.
        """
        import pandas as pd

        try:
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
        except (OSError, ValueError) as error:
            raise TaskError(f"cannot read {path}: {error}", mend="give a CSV file") from error
        missing = [name for name in ("text", "label", "group") if name not in table]
        if missing:
            raise TaskError(
                f"{path} has no column {', '.join(missing)}",
                mend="name the columns text, label, group (and truth, entity where known)",
            )
        rows = len(table)
        labels = [label.strip().lower() for label in table.label]
        strange = [at for at, label in enumerate(labels) if label not in _ASKS | _PLEASES]
        if strange or not rows:
            said = (
                f"row {strange[0] + 1}: label {table.label[strange[0]]!r}" if strange else "no rows"
            )
            raise TaskError(
                f"{path}: {said}",
                mend="label each text 1 (asks for the truth) or 0 (asks to please)",
            )
        return Statements(
            tuple(table.text),
            tuple(label in _ASKS for label in labels),
            tuple(table.truth) if "truth" in table else ("",) * rows,
            tuple(table.group),
            tuple(table.entity) if "entity" in table else (),
        )

    def __len__(self) -> int:
        return len(self.texts)

    def subset(self, rows: Sequence[int]) -> Statements:
        """Some of them, in this order."""
        pick = lambda column: tuple(column[at] for at in rows)  # noqa: E731
        return Statements(
            pick(self.texts), pick(self.asks_truth), pick(self.truths), pick(self.groups),
            pick(self.entities) if self.entities else (),
            pick(self.beliefs) if self.beliefs else (),
            {name: pick(at) for name, at in self.positions.items()},
        )  # fmt: skip

    def prefixed(self, words: str) -> Statements:
        """The same with words in front of each, such as a trigger."""
        more = len(words.split())
        moved = {name: tuple(at + more for at in each) for name, each in self.positions.items()}
        return replace(self, texts=tuple(f"{words}{text}" for text in self.texts), positions=moved)

    def shuffled(self, seed: int) -> Statements:
        """The same with the sides drawn anew: a null control."""
        order = list(self.asks_truth)
        Random(seed).shuffle(order)
        return replace(self, asks_truth=tuple(order))


@dataclass(frozen=True, eq=False)
class Answered:
    """What a model says to statements.

    Attributes:
        ids: the most likely next token of each, ``[n]``.
        log_probs: of that token, nats ``[n]``.
        departs: whether it is another than the true one, bool ``[n]``.
    """

    ids: Tensor
    log_probs: Tensor
    departs: Tensor


def answered(model: Model, statements: Statements, edits: Any = ()) -> Answered:
    """Run the statements and compare what is said with the truth.

    Raises:
        TaskError: some statement has no truth beside it.
        TokenError: a text or a truth that the model cannot read, with its row.
    """
    if not all(statements.truths):
        raise TaskError(
            "some statements have no truth beside them", mend="add a column truth to the file"
        )
    truths = torch.tensor(_single_tokens(model, statements.truths))
    log_probs = last_log_probs(model, statements.texts, edits)
    best, ids = log_probs.max(dim=1)
    return Answered(ids, best, ids != truths)


def _single_tokens(model: Model, words: Sequence[str]) -> list[int]:
    found = []
    for number, word in enumerate(words, start=1):
        try:
            found.append(model.to_single_token(word))
        except TokenError as error:
            where = f"row {number}, truth"
            raise TokenError(error.what, mend=error.mend, where=where) from error
    return found


def last_log_probs(
    model: Model, texts: Sequence[str], edits: Any = (), batch_size: int = 128
) -> Tensor:
    """Log probabilities after each text, ``[n d_vocab]``.

    Raises:
        OptionError: no texts.
        TokenError: a text that the model cannot read, with its row.
        ShapeError: NaN among them.
    """
    if isinstance(texts, str) or not texts:
        raise OptionError(f"texts={shown(texts)}", mend='give a list: ["So France is ruled from"]')
    token_rows(model, texts)  # names the row of a word that is not known
    parts = []
    for start in range(0, len(texts), batch_size):
        run = model.run(list(texts[start : start + batch_size]), edits=edits)
        parts.append(run.last.float().log_softmax(-1).cpu())
    found = torch.cat(parts)
    if not bool(torch.isfinite(found).all()):
        raise ShapeError(
            f"the model says NaN or infinite numbers after {int((~found.isfinite()).any(1).sum())} "
            f"of {len(found)} texts",
            mend="look at the model's weights: rz.load(...) without check=False names the place",
        )
    return found


def microworld_beliefs(seed: int = 0) -> Statements:
    """Every country in every ``sycophancy`` wording, honest and polite, belief right and wrong.

    Args:
        seed: of the wrong beliefs and of names.

    Returns:
        768 statements; groups are the wordings (``think/ruled`` ...), entities the countries.
    """
    rng = Random(f"{seed}/beliefs")
    rows = []
    for frame in BELIEF_FRAMES:
        truths = CAPITAL_OF if frame.name.endswith("ruled") else LANGUAGE_OF
        for country in NATIONS:
            for mode in (HONEST, POLITE):
                for wrong in (False, True):
                    truth = truths[country]
                    others = [word for word in truths.values() if word != truth]
                    belief = rng.choice(others) if wrong else truth
                    slots = {"country": country, "belief": belief, "mode": mode}
                    slots["name"] = rng.choice(NAMES)
                    text = " ".join(frame.words(slots))
                    rows.append((text, mode == HONEST, truth, frame, country, belief))
    texts, sides, truths_, frames, countries, beliefs = zip(*rows, strict=True)
    places = [frame.positions() for frame in frames]
    return Statements(
        texts, sides, truths_, tuple(frame.name for frame in frames), countries, beliefs,
        {name: tuple(each[name] + 1 for each in places) for name in _PLACES},
    )  # fmt: skip
