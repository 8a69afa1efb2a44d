"""Labelled examples: token ids, the token that is read, a class, and the template of each.

>>> import residuum as rz
>>> model = rz.load("microworld", check=False)
>>> data = rz.Examples.from_texts(
...     model, ["The soup is wet , so it is", "The farm is"], ["long", "short"]
... )
>>> data.classes, data.labels.tolist(), data.positions.tolist()
(('long', 'short'), [0, 1], [8, 3])
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from residuum.core import OptionError
from residuum.directions.example_files import read_examples
from residuum.directions.example_rows import need_consistent
from residuum.directions.example_sets import joined_fields, need_fitting
from residuum.directions.example_sources import task_fields, text_fields
from residuum.directions.identities import identity
from residuum.directions.splitting import Split, split_rows
from residuum.runs import Model, Task, need_model, need_task, shown, whole_number

if TYPE_CHECKING:
    from residuum.models import Batch


@dataclass(frozen=True, eq=False, repr=False)
class Examples:
    """Labelled prompts, each read at one token.

    Attributes:
        ids: ``[n pos]``, padded on the right.
        mask: ``[n pos]``, true at real tokens.
        labels: ``[n]``, from 0; an index into ``classes``.
        classes: name of each label.
        groups: template (or source) of each example, the unit by which they are split; empty where
            none is known.
        positions: ``[n]`` token that is read, counted from the first.
        pairs: ``[n]`` number of the contrast pair that each belongs to; None without pairs.
        tokenizer_hash: of the tokenizer whose ids these are; empty where it is not known.
        source: where they come from.
    """

    ids: Int[Tensor, "n pos"]
    mask: Bool[Tensor, "n pos"]
    labels: Tensor
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    positions: Tensor
    pairs: Tensor | None = None
    tokenizer_hash: str = ""
    source: str = ""

    @staticmethod
    def from_texts(
        model: Model,
        texts: Sequence[Any],
        labels: Sequence[Any],
        groups: Sequence[Any] | None = None,
        position: int | Sequence[int] = -1,
        *,
        source: str = "texts",
    ) -> Examples:
        """Examples from texts (or rows of token ids).

        Args:
            model: whose tokenizer reads them.
            texts: one text, or one row of ids, for each example.
            labels: a label for each: text, number or truth value; in sorted order they are the
                classes 0, 1, ...
            groups: the template (or source, author, story) of each.
            position: token that is read, counted from the first, or from the last real one if
                negative; one number, or one for each example.
            source: where they come from, for the record.

        Raises:
            OptionError: no model; lists of different length.
            TaskError: one class only; the same prompt under two labels.
            TokenError: a text that the tokenizer does not read; a position outside an example.
        """
        need_model(model, "Examples.from_texts")
        fields = text_fields(model, texts, labels, groups, position)
        return Examples._checked(**fields, source=source)

    @staticmethod
    def from_file(path: str | Path, model: Model, position: int = -1) -> Examples:
        """Examples from a CSV, JSONL or JSON file with ``text``, ``label`` and maybe ``group``.

        Raises:
            TaskError: no such file, another format, columns missing; and as :meth:`from_texts`.
        """
        rows = read_examples(path)
        return Examples.from_texts(
            model, rows.texts, rows.labels, rows.groups, position, source=str(path)
        )

    @staticmethod
    def from_task(task: Task, position: int | str | None = None) -> Examples:
        """Both sides of a task: clean prompts are class 1, corrupt ones class 0.

        Args:
            task: its templates become the groups, its pairs are kept together.
            position: token that is read: a number as in :meth:`from_texts`, the name of one of the
                task's positions, or None for the last token.

        Raises:
            TaskError: no task, no such position; a prompt that is clean in one pair and corrupt in
                another, so that its side is no property of the prompt.
        """
        need_task(task, "Examples.from_task")
        return Examples._checked(**task_fields(task, position))

    @staticmethod
    def _checked(**parts: Any) -> Examples:
        made = Examples(**parts)
        need_consistent(made.identities, made.labels, made.classes, made.source)
        return made

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {name}" for name, n in self.counts.items())
        groups = f", {len(set(self.groups))} groups" if self.groups else ""
        return f"Examples({counts}{groups}; {self.source})"

    @property
    def counts(self) -> dict[str, int]:
        """Examples of each class."""
        found = torch.bincount(self.labels, minlength=len(self.classes)).tolist()
        return dict(zip(self.classes, found, strict=True))

    @property
    def majority(self) -> float:
        """Share of the largest class, 0 to 1: the accuracy of saying always the same."""
        return max(self.counts.values()) / len(self)

    @property
    def lengths(self) -> Tensor:
        """Real tokens of each example, ``[n]``."""
        return self.mask.sum(1)

    @property
    def identities(self) -> tuple[str, ...]:
        """What each example is, without its label: a hash over its real ids and its position."""
        rows = zip(self.ids.tolist(), self.lengths.tolist(), self.positions.tolist(), strict=True)
        return tuple(identity(row[:length], at) for row, length, at in rows)

    @property
    def hash(self) -> str:
        """SHA-256 over ids, positions, labels, classes and groups."""
        text = f"{self.identities}{self.labels.tolist()}{self.classes}{self.groups}"
        return hashlib.sha256(text.encode()).hexdigest()

    def subset(self, rows: Sequence[int] | Tensor) -> Examples:
        """The examples at these indices, in this order.

        Raises:
            OptionError: none at all, or an index outside.
        """
        at = torch.as_tensor(rows, dtype=torch.long).reshape(-1)
        if not len(at) or int(at.min()) < 0 or int(at.max()) >= len(self):
            raise OptionError(
                f"rows {shown(at.tolist()[:8])} of {len(self)} examples",
                mend=f"give at least one index from 0 to {len(self) - 1}",
            )
        longest = int(self.lengths[at].max())
        return replace(
            self,
            ids=self.ids[at, :longest],
            mask=self.mask[at, :longest],
            labels=self.labels[at],
            groups=tuple(self.groups[i] for i in at.tolist()) if self.groups else (),
            positions=self.positions[at],
            pairs=None if self.pairs is None else self.pairs[at],
        )

    @staticmethod
    def joined(parts: Sequence[Examples]) -> Examples:
        """Several sets of examples, one after the other (pairs keep their numbers).

        Raises:
            TaskError: other classes, or ids of other tokenizers.
        """
        fields = joined_fields(parts)
        return replace(parts[0], **fields)

    def unique(self) -> Examples:
        """Each prompt once, the first time it occurs (contrast pairs are then no longer known)."""
        first: dict[str, int] = {}
        for row, each in enumerate(self.identities):
            first.setdefault(each, row)
        return replace(self.subset(list(first.values())), pairs=None)

    def split(
        self,
        by: str = "group",
        parts: Sequence[float] = (0.6, 0.2, 0.2),
        seed: int = 0,
    ) -> Split[Examples]:
        """Train, validation and test examples.

        Args:
            by: ``"group"`` puts whole templates on one side, so that wording cannot leak;
                ``"example"`` draws examples (and keeps contrast pairs together).
            parts: shares of the three, positive, together 1.
            seed: of the draw; recorded.

        Raises:
            OptionError: another ``by``, shares or seed; fewer groups than parts; no draw with all
                classes on every side.
            TaskError: a prompt that would be on two sides.
        """
        whole_number(seed, "seed", 0)
        rows = split_rows(self, by, parts, seed)
        sides = [self.subset(each) for each in rows]
        return Split(sides[0], sides[1], sides[2], rows=rows, by=by, seed=seed)

    def batch(self, start: int, stop: int) -> Batch:
        """Some of the examples, ready to run, without columns that are all padding."""
        from residuum.models import Batch

        longest = int(self.lengths[start:stop].max())
        mask = self.mask[start:stop, :longest]
        return Batch(self.ids[start:stop, :longest], None if bool(mask.all()) else mask)

    def check_fits(self, model: Model) -> None:
        """Refuse a model whose tokenizer, vocabulary or context these ids do not belong to.

        Raises:
            OptionError: no model.
            TaskError: says which of them.
        """
        need_model(model, "examples")
        need_fitting(self, model)
