"""The table of all heads: scores, intervals, nulls, what removal costs, and types."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from residuum.core import OptionError, Provenance
from residuum.core.notebook import html_of
from residuum.core.paths import file_to_write
from residuum.heads.head_rows import HeadRow
from residuum.heads.head_scores import ABOUT, HeadScore, RemovalCost, plain
from residuum.heads.head_types import BY_SCORE, TYPES, HeadType
from residuum.runs import whole_number

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import HeatMap, Panel

View = Literal["types", "scores", "costs", "attention"]
_NAME = re.compile(r"L(\d+)(?:H(\d+)|\.z\[H(?P<head>\d+)\])")
SUFFIXES = (".json", ".csv", ".html", ".svg", ".png")


@dataclass(frozen=True, repr=False, eq=False)
class HeadTable:
    """Every head with every detector; its rows by ``table["L1H0"]``, or one after the other.

    Shows: what heads look at, what they write to logits, what each costs when it is removed alone.
    Does not show: heads that only matter together, nor what a head does on other text.

    Attributes:
        scores: name -> numbers with intervals and nulls; on one's own prompts
            as ``text.induction``.
        costs: ``"repeats"``, ``"text"`` or the task's name -> what removal costs; empty without.
        ov_copying: ``[layer head]`` Σλ / Σ|λ| of the full OV circuit, from the weights.
        types: ``[layer][head]`` what each head may be called.
        other_offset: ``[layer head 2]`` best offset from 2 on, and mean attention at it.
        example: ``[layer head q_pos k_pos]`` pattern on the first random repeat, float16.
        example_tokens: of that prompt.
        passes: prompts or removal -> forward passes over those prompts.
        notes: what a reader must know before quoting a type.

    >>> import residuum as rz
    >>> from residuum.heads import detect_heads
    >>> table = detect_heads(rz.load("microworld"), n=8, removal=None)
    >>> len(table.heads), table.top("induction", 1)[0].layer > 0
    (32, True)
    """

    scores: Mapping[str, HeadScore]
    costs: Mapping[str, RemovalCost]
    ov_copying: np.ndarray
    types: tuple[tuple[tuple[HeadType, ...], ...], ...]
    other_offset: np.ndarray
    example: np.ndarray
    example_tokens: tuple[str, ...]
    provenance: Provenance
    passes: Mapping[str, float]
    notes: tuple[str, ...] = ()

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return len(self.types)

    @property
    def n_heads(self) -> int:
        """Number of heads in a layer."""
        return len(self.types[0])

    @property
    def heads(self) -> tuple[HeadRow, ...]:
        """All heads, layer by layer."""
        return tuple(
            self.head(layer, head) for layer in range(self.n_layers) for head in range(self.n_heads)
        )

    def __iter__(self) -> Iterator[HeadRow]:
        return iter(self.heads)

    def __len__(self) -> int:
        return self.n_layers * self.n_heads

    def __getitem__(self, at: str | tuple[int, int]) -> HeadRow:
        """One head, by ``"L1H0"``, ``"L1.z[H0]"`` or ``(1, 0)``.

        Raises:
            OptionError: out of range, or no name of a head.
        """
        found = _NAME.fullmatch(at) if isinstance(at, str) else None
        if found is not None:
            return self.head(int(found[1]), int(found[2] or found["head"]))
        if not isinstance(at, tuple) or len(at) != 2:
            raise OptionError(
                f"{at!r:.40} names no head", mend='use "L1H0", "L1.z[H0]" or (layer, head)'
            )
        return self.head(*at)

    def head(self, layer: int, head: int) -> HeadRow:
        """One head.

        Raises:
            OptionError: out of range.
        """
        for value, size, what in ((layer, self.n_layers, "layer"), (head, self.n_heads, "head")):
            if type(value) is not int or not 0 <= value < size:
                raise OptionError(
                    f"{what} {value!r:.40} is out of range: there are {size}",
                    mend=f"use 0 to {size - 1}",
                )
        at = layer, head
        scores = {name: float(each.values[at]) for name, each in self.scores.items()}
        costs = {name: float(each.values[at]) for name, each in self.costs.items()}
        return HeadRow(layer, head, self.types[layer][head], scores, costs)

    def score(self, name: str) -> np.ndarray:
        """Mean over prompts of one detector, ``[layer head]``.

        Raises:
            OptionError: no such detector was run.
        """
        return self._score(name).values.copy()

    def _score(self, name: str) -> HeadScore:
        if not isinstance(name, str) or name not in self.scores:
            one = BY_SCORE.get(str(name))
            hint = f"the type {name} rests on the score {one}; " if one else ""
            raise OptionError(
                f"there is no score {name!r:.40}",
                mend=f"{hint}use one of: {', '.join(self.scores)}",
            )
        return self.scores[name]

    def top(self, name: str, n: int = 5) -> list[HeadRow]:
        """The heads with the largest score, largest first; those without a number never.

        Raises:
            OptionError: no such detector; ``n`` is no whole number from 0.
        """
        values = self.score(name)
        order = np.argsort(-values.ravel(), kind="stable")[: whole_number(n, "n", 0)]
        places = [tuple(int(i) for i in np.unravel_index(at, values.shape)) for at in order]
        return [self.head(*at) for at in places if np.isfinite(values[at])]

    def of_type(self, name: str, confirmed: bool = True) -> list[HeadRow]:
        """The heads that a type was confirmed for, or all that it is claimed for.

        Raises:
            OptionError: no such type.
        """
        if name not in TYPES:
            score = isinstance(name, str) and name in ABOUT
            hint = f"{name} is a score: rank with table.top({name!r}); " if score else ""
            raise OptionError(
                f"there is no type {name!r:.40}", mend=f"{hint}use one of: {', '.join(TYPES)}"
            )
        return [
            row
            for row in self.heads
            if any(t.name == name and (not confirmed or t.status == "confirmed") for t in row.types)
        ]

    def __repr__(self) -> str:
        lines = [f"HeadTable({self.provenance.model_id}: {self.n_layers} × {self.n_heads} heads"]
        for name in TYPES:
            rows = self.of_type(name, confirmed=False)
            sure = {row.at for row in self.of_type(name)}
            if rows:
                said = ", ".join(row.at + ("" if row.at in sure else "?") for row in rows[:6])
                more = f" and {len(rows) - 6} more" if len(rows) > 6 else ""
                lines.append(f"  {name}: {said}{more}")
        return "\n".join([*lines, "  (?: not confirmed by removal)"]) + ")"

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def figure(self, view: View = "types", title: str = "") -> HeatMap | Panel:
        """Layers by heads.

        Args:
            view: ``"types"`` colours each head by its type, ``"scores"`` draws one map for each
                detector, ``"costs"`` one for each kind of prompts, ``"attention"`` a thumbnail of
                every head's pattern on one random repeat.

        Raises:
            OptionError: no such view; costs of a table without.
        """
        from residuum.heads.head_figures import figure_of

        return figure_of(self, view, title)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each head: types, then each score and cost with its interval."""
        import pandas as pd

        columns: dict[str, Any] = {
            "layer": [row.layer for row in self.heads],
            "head": [row.head for row in self.heads],
            "type": [row.type for row in self.heads],
            "types": ["; ".join(map(str, row.types)) for row in self.heads],
        }
        for name, score in self.scores.items():
            columns[name] = score.values.ravel()
            columns |= {f"{name}_low": score.low.ravel(), f"{name}_high": score.high.ravel()}
            columns[f"{name}_null"] = score.null.ravel()
        columns["ov_copying"] = self.ov_copying.ravel()
        columns["other_offset"] = self.other_offset[..., 0].ravel().astype(int)
        columns["other_offset_share"] = self.other_offset[..., 1].ravel()
        for name, cost in self.costs.items():
            columns[f"cost_{name}"] = cost.values.ravel()
            columns |= {
                f"cost_{name}_low": cost.low.ravel(), f"cost_{name}_high": cost.high.ravel()
            }  # fmt: skip
        return pd.DataFrame(columns)

    def to_json(self) -> dict[str, Any]:
        """Plain data, NaN as None; the example's patterns are left out."""
        return {
            "layers": self.n_layers,
            "heads_per_layer": self.n_heads,
            "heads": [
                {
                    "at": row.at, "layer": row.layer, "head": row.head, "type": row.type,
                    "types": [each.to_json() for each in row.types],
                }
                for row in self.heads
            ],
            "scores": {name: each.to_json() for name, each in self.scores.items()},
            "costs": {name: each.to_json() for name, each in self.costs.items()},
            "ov_copying": plain(self.ov_copying),
            "other_offset": plain(self.other_offset),
            "passes": dict(self.passes),
            "notes": list(self.notes),
            "provenance": self.provenance.to_json(),
        }  # fmt: skip

    def save(self, path: str | Path) -> None:
        """Write the table as JSON or CSV, its map of types as SVG or PNG, or all as an HTML page.

        Raises:
            OptionError: another suffix.
            StoreError: no path, a folder, or a file in a folder that does not exist.
        """
        path = file_to_write(path)
        if path.suffix not in SUFFIXES:
            raise OptionError(
                f"cannot save a head table as {path.suffix or 'a file without suffix'!r}",
                mend=f"use {', '.join(SUFFIXES)}",
            )
        if path.suffix == ".json":
            path.write_text(json.dumps(self.to_json(), indent=1))
        elif path.suffix == ".csv":
            self.to_dataframe().to_csv(path, index=False)
        elif path.suffix == ".html":
            from residuum.heads.head_figures import page_of

            path.write_text(page_of(self), encoding="utf-8")
        else:
            self.figure().save(path)
