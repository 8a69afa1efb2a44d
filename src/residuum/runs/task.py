"""Tasks: contrast pairs as token ids, with answers, named positions and a metric."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import index
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from residuum.core import SILENT, ContrastPair, Progress, TaskError, content_hash
from residuum.core.paths import as_path, file_to_write
from residuum.runs.arguments import need_model, shown, whole_number, yes_or_no
from residuum.runs.behaviour import BehaviourCheck, check_behaviour
from residuum.runs.metrics import metric_named
from residuum.runs.pair_rows import PairRow, TaskModel, all_null, keep_good, row_problem
from residuum.runs.pair_words import Sourced, refuse_beside_words, rows_of_pairs, tokenizer_hash_of
from residuum.runs.row_tables import rows_of, tables_of, trimmed
from residuum.runs.task_ids import rows_from_ids

_FORMAT = 1
_LISTS = ("clean", "corrupt", "answers", "wrong")


@dataclass(frozen=True, eq=False)
class Task:
    """A behaviour as contrast pairs. Effects are signed towards clean.

    Two tasks are equal when names, contents, positions and metrics are.

    Attributes:
        name: of the behaviour.
        clean, corrupt: ids [batch pos], same length row by row, padded on the right.
        answers, wrong: ids [batch n] that are right and wrong after the clean prompt, padded
            with -1.
        lengths: real tokens of each row, [batch]; the answer is read at the last of them.
        metric: name of the metric, see :data:`residuum.runs.metrics.METRICS`.
        positions: name -> token positions [batch], counted from the first token, BOS included.
        templates: label of each pair's sentence pattern.
        tokenizer_hash: of the tokenizer whose ids these are; empty where it is not known.
        source: where the pairs come from.
        dropped: row number (from 1) -> why a pair was left out with ``skip_misfits=True``.

    Raises:
        OptionError: no such metric.

    Shows: what counts as right here. Does not show: that the model does it (``evaluate``).

    >>> task = Task.from_pairs(clean=[[5, 6, 7]], corrupt=[[5, 9, 7]], answers=[6], wrong=[9])
    >>> task.describe()
    'task: 1 pair of 3 tokens, metric logit_diff'
    """

    name: str
    clean: Tensor
    corrupt: Tensor
    answers: Tensor
    wrong: Tensor
    lengths: Tensor
    metric: str = "logit_diff"
    positions: Mapping[str, Tensor] = field(default_factory=dict)
    templates: tuple[str, ...] = ()
    tokenizer_hash: str = ""
    source: str = ""
    dropped: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        metric_named(self.metric)

    @staticmethod
    def from_pairs(
        pairs: str | Path | Sequence[ContrastPair] | None = None,
        model: TaskModel | None = None,
        *,
        clean: Any = None,
        corrupt: Any = None,
        answers: Any = None,
        wrong: Any = None,
        name: str = "",
        metric: str = "",
        lengths: Any = None,
        positions: Mapping[str, Any] | None = None,
        templates: Sequence[str] | None = None,
        columns: Mapping[str, str] | None = None,
        skip_misfits: bool = False,
    ) -> Task:
        """Make a task from a file of words, from contrast pairs, or from token ids.

        Args:
            pairs: a CSV, JSONL or JSON file (see :func:`residuum.runs.pair_files.read_pairs`),
                or contrast pairs. An answer is the one token that follows the prompt; without
                a leading space it is read as the next word after a word. JSONL and JSON may hold
                token ids instead: lists as ``clean`` and ``corrupt``, ids as answers.
            model: whose tokenizer reads the words; with ids it is optional and checks the range.
            clean, corrupt: instead of ``pairs``: integer ids [batch pos]. The same ids on both
                sides, in every pair, make a null control, of which every patch has effect zero.
            answers, wrong: with them: ids [batch] or [batch n] padded with -1. ``wrong`` may be
                left out for metrics that do not need it.
            name: of the task; the file's stem by default.
            metric: name of a metric; by default ``logit_diff``, for greater-than files
                ``prob_diff``, without wrong answers ``prob``.
            lengths: real tokens of each row of ids [batch]; by default all.
            positions: with ids: name -> positions [batch]; words bring their own.
            templates: with ids: a label per pair; words bring their own.
            columns: with a file: part (clean, corrupt, answers, wrong, template) -> column.
            skip_misfits: leave out pairs that do not fit and record them in ``dropped``.

        Raises:
            TaskError: pairs that do not fit (lengths differ, an answer that is no single token,
                words the model does not know, too long, clean equal to corrupt, an answer that
                is also wrong), listed by row; an empty or unreadable file.
        """
        yes_or_no(skip_misfits, "skip_misfits")
        if (pairs is None) == (clean is None):
            raise TaskError(
                "a task needs either pairs in words or token ids",
                mend="give a file or pairs and a model, or clean=, corrupt=, answers=, wrong=",
            )
        if pairs is None:
            if columns:
                raise TaskError("columns= goes with a file", mend="leave it out for ids")
            found = rows_from_ids(clean, corrupt, answers, wrong, lengths, positions, templates)
            if model is not None:
                need_model(model, "Task.from_pairs")
            limits = (None, None) if model is None else (model.d_vocab, model.n_ctx)
            null = all_null(found)
            checked = [row_problem(row, *limits, null=null) or row for row in found]
            sourced = Sourced(checked, "token ids")
        else:
            refuse_beside_words(corrupt, answers, wrong, lengths, positions, templates)
            sourced = rows_of_pairs(pairs, model, columns)
            name = name or (Path(sourced.source).stem if isinstance(pairs, (str, Path)) else "")
        rows, dropped = keep_good(
            sourced.checked, skip_misfits, where=sourced.source, unfit=sourced.unfit
        )
        return Task(
            **tables_of(rows),
            name=name or "task",
            metric=_metric_for(rows, metric, sourced.metric),
            tokenizer_hash=tokenizer_hash_of(model),
            source=sourced.source,
            dropped=dropped,
        )

    def __len__(self) -> int:
        return self.clean.shape[0]

    def __getitem__(self, rows: int | slice | Sequence[int] | Tensor) -> Task:
        """Some of the pairs, as a task."""
        if isinstance(rows, slice):
            return self.subset(range(len(self))[rows])
        return self.subset([rows] if isinstance(rows, int) else rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Task) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash((self.name, self.task_hash))

    def head(self, n: int) -> Task:
        """The first ``n`` pairs (all, if there are fewer)."""
        return self.subset(range(min(whole_number(n, "n", 0), len(self))))

    def subset(self, rows: Sequence[int] | Tensor) -> Task:
        """The pairs at these indices (negative ones count from the end), in this order.

        Raises:
            TaskError: an index outside the task, none at all, or no index.
        """
        wanted = _row_numbers(rows)
        if not wanted or any(not -len(self) <= row < len(self) for row in wanted):
            raise TaskError(
                f"rows {wanted[:8]} of a task of {len(self)} pairs",
                mend=f"give at least one index from 0 to {len(self) - 1}",
            )
        at = torch.tensor(wanted) % len(self)
        longest = int(self.lengths[at].max())
        return replace(
            self,
            clean=self.clean[at, :longest],
            corrupt=self.corrupt[at, :longest],
            answers=trimmed(self.answers[at]),
            wrong=trimmed(self.wrong[at]),
            lengths=self.lengths[at],
            positions={name: where[at] for name, where in self.positions.items()},
            templates=tuple(self.templates[int(row)] for row in at),
        )

    def swap(self, answers: bool = True) -> Task:
        """Clean and corrupt exchanged, and with them right and wrong answers.

        Args:
            answers: False keeps the answers: the same measure, seen from the corrupt prompts.
        """
        right, wrong = (self.wrong, self.answers) if answers else (self.answers, self.wrong)
        if answers and bool(((self.wrong >= 0).sum(dim=1) == 0).any()):
            raise TaskError(
                "some pairs have no wrong answers to become right ones",
                mend="swap(answers=False) exchanges the prompts alone",
            )
        return replace(self, clean=self.corrupt, corrupt=self.clean, answers=right, wrong=wrong)

    def with_source(self, source: str) -> Task:
        """The same task, said to come from elsewhere."""
        return replace(self, source=source)

    @property
    def last(self) -> Tensor:
        """Position of each row's last real token, where the answer is read; [batch]."""
        return self.lengths - 1

    @property
    def attention_mask(self) -> Tensor | None:
        """Bool [batch pos], true at real tokens; None when nothing is padded."""
        width = self.clean.shape[1]
        if bool((self.lengths == width).all()):
            return None
        return torch.arange(width)[None] < self.lengths[:, None]

    @property
    def task_hash(self) -> str:
        """SHA-256 over ids and answers, padding left out."""
        data = self.to_json()
        return content_hash({part: data[part] for part in _LISTS})

    def check_fits(self, model: TaskModel) -> None:
        """Refuse a model whose tokenizer, vocabulary or context these ids do not belong to.

        Raises:
            OptionError: no model.
            TaskError: says which of them.
        """
        need_model(model, "check_fits")
        other = tokenizer_hash_of(model)
        if self.tokenizer_hash and other and other != self.tokenizer_hash:
            raise TaskError(
                "the task's ids belong to another tokenizer than this model's",
                mend="make the task again from its words with this model",
                where=self.name,
            )
        rows, limits = rows_of(self), (model.d_vocab, model.n_ctx)
        null = all_null(rows)
        checked = [row_problem(row, *limits, null=null) or row for row in rows]
        keep_good(checked, skip_misfits=False, where=self.name)

    def evaluate(
        self,
        model: TaskModel,
        *,
        batch_size: int = 64,
        seed: int = 0,
        progress: Progress = SILENT,
    ) -> BehaviourCheck:
        """Whether the model shows the behaviour, on the clean and on the corrupt prompts.

        Args:
            model: whose tokens these are.
            batch_size: prompts in one pass.
            seed: of the bootstrap.
            progress: who is told.

        Returns:
            For each side the share of right answers (0 to 1) and the mean logit difference (in
            logits), both with 95 % intervals: see :class:`BehaviourCheck`.

        Raises:
            OptionError: no model; ``batch_size`` or ``seed`` that is no whole number.
            TaskError: ids that do not belong to this model.

        Shows: how often and by what margin the model answers right on these prompts. Does not
        show: why, or what it does on other prompts.

        >>> import residuum as rz
        >>> model = rz.load("microworld", check=False)
        >>> check = rz.task("ioi", model, n=4).evaluate(model)
        >>> check.clean.accuracy, check.corrupt.accuracy
        (1.0, 0.0)
        """
        need_model(model, "evaluate")
        whole_number(batch_size, "batch_size", 1)
        whole_number(seed, "seed", 0)
        self.check_fits(model)
        return check_behaviour(self, model, batch_size=batch_size, seed=seed, progress=progress)

    def describe(self) -> str:
        """One line of text."""
        short, long = int(self.lengths.min()), int(self.lengths.max())
        tokens = f"{long} tokens" if short == long else f"{short} to {long} tokens"
        pairs = "1 pair" if len(self) == 1 else f"{len(self)} pairs"
        named = f", positions {', '.join(self.positions)}" if self.positions else ""
        named += ", a null control: clean and corrupt are the same" * all_null(rows_of(self))
        gone = f", {len(self.dropped)} pairs dropped" if self.dropped else ""
        return f"{self.name}: {pairs} of {tokens}, metric {self.metric}{named}{gone}"

    def to_json(self) -> dict[str, Any]:
        """Plain data: lists of ids without padding."""
        rows = rows_of(self)
        return {
            "format": _FORMAT,
            "name": self.name,
            **{part: [list(getattr(row, part)) for row in rows] for part in _LISTS},
            "metric": self.metric,
            "positions": {name: where.tolist() for name, where in self.positions.items()},
            "templates": list(self.templates),
            "tokenizer_hash": self.tokenizer_hash,
            "source": self.source,
            "dropped": {str(row): why for row, why in self.dropped.items()},
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Task:
        """Read what :meth:`to_json` wrote.

        Raises:
            TaskError: keys missing or unknown, another format, or pairs that do not fit.
        """
        keys = {"format", "name", *_LISTS, "metric", "positions", "templates"}
        keys |= {"tokenizer_hash", "source", "dropped"}
        if not isinstance(data, Mapping):
            raise TaskError(f"not a task: {shown(data)}", mend="give what to_json wrote")
        if set(data) != keys or data["format"] != _FORMAT:
            raise TaskError(
                f"not a task of format {_FORMAT}: {', '.join(sorted(set(data) ^ keys))}",
                mend="save it again with this version of the package",
            )
        columns = [*(data[part] for part in _LISTS), data["templates"], *data["positions"].values()]
        if len({len(column) for column in columns}) != 1:
            raise TaskError(
                "the lists of a saved task differ in length", mend="save it again from its source"
            )
        rows = [
            PairRow(
                *(tuple(data[part][at]) for part in _LISTS),
                positions={name: where[at] for name, where in data["positions"].items()},
                template=data["templates"][at],
            )
            for at in range(len(data["clean"]))
        ]
        null = all_null(rows)
        keep_good([row_problem(row, null=null) or row for row in rows], False, where=data["name"])
        return Task(
            **tables_of(rows),
            name=data["name"],
            metric=data["metric"],
            tokenizer_hash=data["tokenizer_hash"],
            source=data["source"],
            dropped={int(row): why for row, why in data["dropped"].items()},
        )

    def save(self, path: str | Path) -> Path:
        """Write the task as JSON; returns the path.

        Raises:
            StoreError: no path, a folder, or a file in a folder that does not exist.
        """
        path = file_to_write(path)
        path.write_text(json.dumps(self.to_json()) + "\n", encoding="utf-8")
        return path

    @staticmethod
    def load(path: str | Path) -> Task:
        """Read a task that :meth:`save` wrote.

        Raises:
            StoreError: no path.
            TaskError: no such file, or not a task.
        """
        try:
            data = json.loads(as_path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise TaskError(
                f"cannot be read as a task: {error}", mend="give a saved task", where=str(path)
            ) from error
        return Task.from_json(data)


def _row_numbers(rows: Any) -> list[int]:
    """Indices as plain numbers."""
    try:
        return [index(row) for row in rows]
    except TypeError:
        raise TaskError(
            f"rows are whole numbers, got {shown(rows)}", mend="give a list of indices, or a slice"
        ) from None


def _metric_for(rows: Sequence[PairRow], asked: str, suggested: str) -> str:
    """The metric asked for if the pairs have what it needs; by default the suggested one."""
    complete = all(row.wrong for row in rows)
    if asked and metric_named(asked).needs_wrong and not complete:
        raise TaskError(
            f"the metric {asked!r} compares with wrong answers, and some pairs have none",
            mend="give wrong=, or use prob, accuracy, loss_nats or kl_bits",
        )
    return asked or (suggested if complete else "prob")
