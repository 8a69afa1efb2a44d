"""One head's QK or OV circuit as a record: spectrum, token pairs, singular directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from residuum.core import OptionError, Provenance
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.heads.factored import FactoredMatrix
from residuum.runs import whole_number

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Bars

_UNSEEN = "That the model drives these weights so: look at the pattern, and ablate the head."


@dataclass(frozen=True)
class TokenPair:
    """One entry of a full circuit.

    Attributes:
        row, column: token ids (QK: who asks, who is asked; OV: attended to, raised).
        words: both as texts.
        value: the entry.
    """

    row: int
    column: int
    words: tuple[str, str]
    value: float


@dataclass(frozen=True)
class SingularDirection:
    """One pair of singular directions, each read off as tokens.

    Signs come in pairs: both lists may be flipped together.

    Attributes:
        index: from the largest singular value on.
        value: the singular value; ``share`` of the sum of squares.
        reads: tokens with the largest weight along the row side, then those with the smallest.
        writes: the same along the column side.
    """

    index: int
    value: float
    share: float
    reads: tuple[tuple[str, ...], tuple[str, ...]]
    writes: tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True, eq=False, repr=False)
class Circuit:
    """A head's QK or OV circuit.

    Shows: what the head's weights would do with given inputs. Does not show: that the model drives
    them so.

    Attributes:
        kind: ``"QK"`` (query by key) or ``"OV"`` (attended to by written).
        matrix: factored; ``[d_model d_model]``, or ``[d_vocab d_vocab]`` if ``full``.
        kv_head: whose keys and values; ``head`` itself without grouping.
        folded: whether norms' gains and centring are in the matrix.
        offset: rotary distance that is in it, or None.
        biases: constants that are not in the matrix, by name; all-zero ones are left out.
        notes: what else is not in it.
    """

    kind: str
    layer: int
    head: int
    kv_head: int
    matrix: FactoredMatrix
    full: bool
    folded: bool
    offset: int | None
    biases: dict[str, Tensor]
    notes: tuple[str, ...]
    provenance: Provenance
    words: Callable[[Sequence[int]], tuple[str, ...]] = field(repr=False)
    ends: Callable[[], tuple[Tensor, Tensor]] = field(repr=False)

    def __repr__(self) -> str:
        rows, columns = self.shape
        lines = [f"Circuit({self.name} {rows} × {columns}, rank ≤ {self.matrix.inner}"]
        lines += [f"  not in it: {', '.join(self.biases)}"] if self.biases else []
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)]) + ")"

    @property
    def name(self) -> str:
        """Such as ``L1H4 OV``."""
        return f"L{self.layer}H{self.head} {'full ' if self.full else ''}{self.kind}"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.matrix.shape

    def copying(self) -> float:
        """Eigenvalue copying score of a full circuit: Σ λ / Σ |λ|, from -1 to 1.

        Of a full OV circuit: 1 where every token, attended to, raises itself among its like. It
        is computed from the ``d_head`` eigenvalues that are not zero by shape.

        Raises:
            OptionError: the circuit does not go from tokens to tokens.

        Shows: whether the weights would copy. Does not show: that the head attends to what it
        would copy; previous-token heads score high as well.

        Source: Elhage et al. (2021), "Detecting Copying Behavior" (sum of eigenvalues over sum of
        their absolute values).
        """
        if not self.full:
            raise OptionError(
                f"{self.name} does not go from tokens to tokens", mend="ask for full=True"
            )
        return copying_score(self.matrix)

    def top_pairs(self, n: int = 10, largest: bool = True) -> tuple[TokenPair, ...]:
        """The token pairs with the largest (or smallest) entries, in bands over the vocabulary.

        Raises:
            OptionError: the circuit does not go from tokens to tokens, or ``n`` is out of range.
        """
        if not self.full:
            raise OptionError(f"{self.name} has no tokens on its sides", mend="ask for full=True")
        found = self.matrix.top_entries(n, largest)
        return tuple(TokenPair(r, c, self._pair(r, c), value) for r, c, value in found)

    def _pair(self, row: int, column: int) -> tuple[str, str]:
        first, second = self.words([row, column])
        return first, second

    def directions(self, n: int = 3, tokens: int = 5) -> tuple[SingularDirection, ...]:
        """The largest singular directions, read off as tokens.

        Of a circuit of the stream, the row side is read through the embedding, the column side
        through the embedding (QK) or the unembedding (OV).

        Raises:
            OptionError: ``n`` or ``tokens`` out of range.
            AddressError: the model has no linear embedding or unembedding.

        Source: Millidge and Black, "The Singular Value Decompositions of Transformer Weight
        Matrices are Highly Interpretable" (2022).
        """
        whole_number(n, "n", 1)
        whole_number(tokens, "tokens", 1)
        u, s, v = self.matrix.svd()
        if not self.full:
            embed, unembed = (each.double() for each in self.ends())
            u, v = embed @ u[:, :n], (embed if self.kind == "QK" else unembed.T) @ v[:, :n]
        share = s.square() / s.square().sum().clamp_min(torch.finfo(s.dtype).tiny)
        return tuple(
            SingularDirection(
                index=i,
                value=float(s[i]),
                share=float(share[i]),
                reads=self._ends_of(u[:, i], tokens),
                writes=self._ends_of(v[:, i], tokens),
            )
            for i in range(min(n, len(s)))
        )

    def _ends_of(self, weights: Tensor, n: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        n = min(n, len(weights))
        high, low = weights.topk(n).indices, (-weights).topk(n).indices
        return self.words(high.tolist()), self.words(low.tolist())

    def _repr_html_(self) -> str | None:
        return html_of(self, self.shape[0] * self.shape[1] if self.full else 0)

    def figure(self) -> Bars:
        """Top token pairs of a full circuit, or the singular directions of one of the stream.

        Raises:
            AddressError: the model has no linear embedding or unembedding to read them off.
        """
        from residuum.figures import Bars

        if not self.full:
            found = self.directions(16, tokens=3)
            s = [each.value for each in found]
            names = [f"{' '.join(d.reads[0])} → {' '.join(d.writes[0])}" for d in found]
            caption = "Singular values, with the tokens at one end of each pair of directions."
        else:
            pairs = self.top_pairs(16)
            arrow = "asks for" if self.kind == "QK" else "raises"
            names = [f"{p.words[0]!r} {arrow} {p.words[1]!r}" for p in pairs]
            s, caption = [p.value for p in pairs], "Token pairs with the largest entries."
        unit = "score, unscaled" if self.kind == "QK" else "logit, at frozen norm scale"
        return Bars(
            names,
            s,
            x=unit if self.full else "singular value",
            order="given",
            title=self.name,
            caption=" ".join([caption, *(f"{note[0].upper()}{note[1:]}." for note in self.notes)]),
            does_not_show=_UNSEEN,
        )

    def to_dataframe(self) -> pd.DataFrame:
        """A full circuit's 100 largest pairs, or the singular values of one of the stream."""
        import pandas as pd

        if not self.full:
            return pd.DataFrame({"singular_value": self.matrix.svd()[1].cpu().numpy()})
        return pd.DataFrame(
            [
                {"row": p.words[0], "column": p.words[1], "row_id": p.row,
                 "column_id": p.column, "value": p.value}
                for p in self.top_pairs(100)
            ]
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Plain data: shape, norm, spectrum, biases' norms, notes; not the factors themselves."""
        data: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "layer": self.layer,
            "head": self.head,
            "kv_head": self.kv_head,
            "full": self.full,
            "folded": self.folded,
            "offset": self.offset,
            "shape": list(self.shape),
            "norm": self.matrix.norm(),
            "singular_values": self.matrix.svd()[1].tolist(),
            "bias_norms": {name: float(value.norm()) for name, value in self.biases.items()},
            "notes": list(self.notes),
            "provenance": self.provenance.to_json(),
        }
        if self.full:
            data["copying"] = self.copying()
            data["top_pairs"] = [
                {"row": p.row, "column": p.column, "words": list(p.words), "value": p.value}
                for p in self.top_pairs(20)
            ]
        return data

    def save(self, path: str | Path) -> None:
        """Write JSON, the table as CSV, or the figure as HTML, SVG or PNG.

        Raises:
            OptionError: another suffix.
            StoreError: no path, or a folder that does not exist.
        """
        save_result(self, path)


def copying_score(matrix: FactoredMatrix) -> float:
    """Σ λ / Σ |λ| of a square factored matrix; NaN where all eigenvalues vanish."""
    values = matrix.eigenvalues()
    total = float(values.abs().sum())
    return float(values.real.sum()) / total if total > 0 else float("nan")
