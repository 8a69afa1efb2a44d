"""A path expansion as a record: every path's share of the logits of one prompt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from residuum.core import Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.heads.reading import index_of, position_of
from residuum.runs import whole_number

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Bars


_ZERO = 1e-9
"""Logits below which a path is not drawn."""


@dataclass(frozen=True)
class LogitPath:
    """One path from a source to the logits.

    Attributes:
        source: ``embed``, ``pos_embed``, or a named bias such as ``L0.b_O``.
        heads: the heads it goes through, such as ``("L0H2", "L1H1")``; empty for the direct path.
        rest: whether it stands for all paths from the source through more heads than asked for.
    """

    source: str
    heads: tuple[str, ...] = ()
    rest: bool = False

    @property
    def order(self) -> int:
        """Heads on the way: 0 direct, 1 single head, 2 a virtual head."""
        return len(self.heads)

    def __str__(self) -> str:
        if self.rest:
            return f"{self.source} → (more heads) → logits"
        return " → ".join((self.source, *self.heads, "logits"))


@dataclass(frozen=True, eq=False, repr=False)
class PathExpansion:
    """The logits of one prompt, path by path, patterns and norm scales as in that run.

    Shows: an exact decomposition of this prompt's logits. Does not show: what happens when a part
    is removed: patterns and norm scales are held fixed, and a path through keys or queries moves
    patterns, which counts nowhere here. Paths may be large and cancel.

    Attributes:
        tokens: the prompt's tokens.
        paths: in order of their number of heads.
        streams: ``[path pos d_model]``, float64: what each path leaves on the last stream, divided
            by the final norm's size there.
        unembed: ``[d_model d_vocab]``, the final norm's gain and centring folded in.
        constants: logits ``[d_vocab]`` of biases after the last stream, by name.
        logits: the model's own, ``[pos d_vocab]``.
        error: largest absolute difference between the sum of all paths and ``logits``.
        order: heads on the longest path that stands by itself.
    """

    tokens: tuple[str, ...]
    paths: tuple[LogitPath, ...]
    streams: Tensor
    unembed: Tensor
    constants: dict[str, Tensor]
    logits: Tensor
    error: float
    order: int
    provenance: Provenance
    words: Callable[[Any], list[str]]

    def __repr__(self) -> str:
        return (
            f"PathExpansion({len(self.paths)} paths of up to {self.order} heads, "
            f"{len(self.tokens)} tokens, sum off by {self.error:.1e})"
        )

    @property
    def names(self) -> tuple[str, ...]:
        """All summands: the paths, then the constants."""
        return (*map(str, self.paths), *self.constants)

    def contributions(self, pos: int = -1) -> Tensor:
        """Logits of every summand at one position, ``[summand d_vocab]``, in order of ``names``.

        Raises:
            AddressError: the prompt has no such position.
        """
        at = position_of(pos, len(self.tokens))
        return torch.cat([self.streams[:, at] @ self.unembed, *_rows(self.constants)])

    def total(self) -> Tensor:
        """The sum of all summands, ``[pos d_vocab]``."""
        return self.streams.sum(0) @ self.unembed + sum(self.constants.values())

    def of_token(self, token: int, against: int | None = None, pos: int = -1) -> Tensor:
        """What each summand gives one token, ``[summand]``, in logits.

        Args:
            token: its id.
            against: id of a token whose logit is subtracted; None subtracts the mean over the
                vocabulary, which softmax does not see.
            pos: position that predicts.

        Raises:
            AddressError: an id or position out of range.
        """
        table = self.contributions(pos)
        token = index_of(token, table.shape[1], "token")
        other = table.mean(1) if against is None else table[:, index_of(against, table.shape[1],
                                                                        "token")]  # fmt: skip
        return table[:, token] - other

    def top(
        self, token: int, against: int | None = None, pos: int = -1, n: int = 10
    ) -> tuple[tuple[str, float], ...]:
        """The summands of largest absolute value for a token: name and logits.

        Raises:
            AddressError: as :meth:`of_token`.
            OptionError: ``n`` out of range.
        """
        whole_number(n, "n", 0)
        values = self.of_token(token, against, pos)
        order = values.abs().argsort(descending=True, stable=True)[:n]
        return tuple((self.names[int(at)], float(values[at])) for at in order)

    def by_order(self, token: int, against: int | None = None, pos: int = -1) -> dict[str, float]:
        """The same summed: ``direct``, ``1 head``, ``2 heads`` …, ``more heads``, ``constants``.

        Raises:
            AddressError: as :meth:`of_token`.
        """
        values = self.of_token(token, against, pos)
        sums: dict[str, float] = {}
        for at, value in enumerate(values.tolist()):
            name = self._group(at)
            sums[name] = sums.get(name, 0.0) + value
        return sums

    def _group(self, at: int) -> str:
        if at >= len(self.paths):
            return "constants"
        path = self.paths[at]
        if path.rest:
            return "more heads"
        if path.source not in ("embed", "pos_embed"):
            return "constants"
        count = path.order
        return "direct" if count == 0 else f"{count} head{'s' if count > 1 else ''}"

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def figure(self, token: int | None = None, pos: int = -1, n: int = 16) -> Bars:
        """The largest paths for one token (the most likely one by default) as bars."""
        from residuum.figures import Bars

        at = position_of(pos, len(self.tokens))
        token = int(self.logits[at].argmax()) if token is None else token
        found = self.top(token, pos=at, n=n)
        best = [each for each in found if abs(each[1]) > _ZERO] or found[:1]
        return Bars(
            [name for name, _ in best],
            [value for _, value in best],
            x="logit above the vocabulary's mean",
            unit="logits",
            order="magnitude",
            title=f"Paths to {self.words([token])[0]!r} at position {at}",
            caption=(
                f"The {len(best)} largest of {len(self.names)} summands; all of them sum to the "
                f"logits (off by {self.error:.1e}). Patterns and norm scales are this run's."
            ),
            does_not_show="What moves the patterns, and what a removal would do.",
        )

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each summand: its part of the last position's highest logit."""
        import pandas as pd

        token = int(self.logits[-1].argmax())
        values = self.of_token(token).tolist()
        sources = [path.source for path in self.paths] + list(self.constants)
        orders = [path.order for path in self.paths] + [0] * len(self.constants)
        return pd.DataFrame(
            {
                "path": self.names,
                "source": sources,
                "heads": orders,
                "token": token,
                "logit": values,
            }
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data, the contributions at the last position among it."""
        return {
            "tokens": list(self.tokens),
            "names": list(self.names),
            "order": self.order,
            "last_contributions": self.contributions().tolist(),
            "last_logits": self.logits[-1].tolist(),
            "error": self.error,
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | FilePath) -> None:
        """Write JSON, the table as CSV, or the figure as HTML, SVG or PNG.

        Raises:
            OptionError: another suffix.
            StoreError: no path, or a folder that does not exist.
        """
        save_result(self, path)


def _rows(constants: dict[str, Tensor]) -> list[Tensor]:
    return [each[None] for each in constants.values()]
