"""The zero-layer model inside a model: its direct path as a bigram table, against a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from residuum.core import Provenance, TokenError
from residuum.core.notebook import html_of
from residuum.core.saving import save_result
from residuum.heads.reading import embedding, index_of
from residuum.models import final_logits
from residuum.runs import Model, need_model, refuse_unknown, shown, whole_number
from residuum.runs.arguments import yes_or_no

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Table

_BAND = 2**24


@dataclass(frozen=True)
class BigramRow:
    """One token and what follows it.

    Attributes:
        token, word: the token before.
        count: how often it stands before another in the corpus.
        kl_bits: KL(corpus || direct path) of what follows.
        corpus, direct: likeliest followers with their probabilities.
    """

    token: int
    word: str
    count: int
    kl_bits: float
    corpus: tuple[tuple[str, float], ...]
    direct: tuple[tuple[str, float], ...]


@dataclass(frozen=True, eq=False, repr=False)
class BigramTable:
    """What a model's direct path predicts after each token, against what follows in a corpus.

    Shows: how much of the corpus' bigram statistics lies in embedding and unembedding. Does not
    show: that the whole model predicts bigrams, nor that the direct path is what makes it do so:
    heads and MLPs of a deeper model carry bigrams too. Counted frequencies of rare tokens are
    noisy, which makes every KL too large.

    Attributes:
        rows: tokens counted at least ``min_count`` times, most frequent first.
        kl_bits: KL(corpus || direct path), averaged over the corpus' bigrams of these rows.
        unigram_kl_bits: the same for a model that knows only how often each token occurs.
        uniform_kl_bits: the same for one that knows nothing.
        correlation: of log probabilities, corpus against direct path, over the pairs seen; each
            row's mean taken off; NaN with too few pairs.
        bigrams: counted in all; ``pairs``: different ones.
    """

    rows: tuple[BigramRow, ...]
    kl_bits: float
    unigram_kl_bits: float
    uniform_kl_bits: float
    correlation: float
    bigrams: int
    pairs: int
    min_count: int
    provenance: Provenance

    def __repr__(self) -> str:
        return (
            f"BigramTable({len(self.rows)} tokens, {self.bigrams} bigrams: KL(corpus‖direct) "
            f"{self.kl_bits:.2f} bits, unigram {self.unigram_kl_bits:.2f}, uniform "
            f"{self.uniform_kl_bits:.2f}, correlation {self.correlation:.2f})"
        )

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def figure(self, n: int = 20) -> Table:
        """The most frequent tokens with what follows them in the corpus and by the direct path."""
        from residuum.figures import Column, Table

        columns = [
            "token",
            Column("count"),
            Column("KL", "bits", digits=2),
            "follows in the corpus",
            "by the direct path",
        ]
        rows = [
            [repr(r.word), r.count, r.kl_bits, _listed(r.corpus), _listed(r.direct)]
            for r in self.rows[:n]
        ]
        return Table(
            columns,
            rows,
            title="Bigrams: corpus and direct path",
            caption=(
                f"KL to the corpus {self.kl_bits:.2f} bits; unigrams {self.unigram_kl_bits:.2f}, "
                f"uniform {self.uniform_kl_bits:.2f}; correlation {self.correlation:.2f}."
            ),
            does_not_show="That the whole model predicts bigrams, or by this path alone.",
        )

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each token before: token, word, count, kl_bits, likeliest followers."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "token": r.token,
                    "word": r.word,
                    "count": r.count,
                    "kl_bits": r.kl_bits,
                    "corpus": r.corpus[0][0],
                    "corpus_prob": r.corpus[0][1],
                    "direct": r.direct[0][0],
                    "direct_prob": r.direct[0][1],
                }
                for r in self.rows
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        numbers = ("kl_bits", "unigram_kl_bits", "uniform_kl_bits", "bigrams", "pairs", "min_count")
        return {
            **{name: getattr(self, name) for name in numbers},
            "correlation": None if np.isnan(self.correlation) else self.correlation,
            "rows": [
                vars(r) | {"corpus": list(map(list, r.corpus)), "direct": list(map(list, r.direct))}
                for r in self.rows
            ],
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write JSON, the table as CSV, or the figure as HTML, SVG or PNG.

        Raises:
            OptionError: another suffix.
            StoreError: no path, or a folder that does not exist.
        """
        save_result(self, path)


def _listed(best: tuple[tuple[str, float], ...]) -> str:
    return " ".join(f"{word} {prob:.2f}" for word, prob in best)


def bigram_table(
    model: Model,
    corpus: Sequence[Any] | Tensor,
    *,
    min_count: int = 20,
    top: int = 3,
    prepend_bos: bool | None = None,
    **unknown: Any,
) -> BigramTable:
    """Compare a model's direct path, embedding to unembedding, with a corpus' bigrams.

    The direct path is what a model without layers would be: each token's embedding through the
    final norm (exactly, not at a frozen scale) and the unembedding. Position embeddings are left
    out.

    Args:
        model: a loaded model.
        corpus: texts, rows of ids, or a tensor ``[batch pos]``; bigrams do not cross rows.
        min_count: only tokens that stand before another so often are compared.
        top: likeliest followers to keep.
        prepend_bos: of texts; None does what the tokenizer does.

    Returns:
        The comparison; probabilities and KL in bits, ``d_vocab`` rows at a time in bands.

    Raises:
        OptionError: no model, an unknown option.
        AddressError: an id out of range; no linear embedding or unembedding, or a family without a
            table of them.
        TokenError: no texts or ids; a corpus in which no token stands ``min_count`` times before
            another.

    Shows and does not show: see :class:`BigramTable`.

    Source: Elhage et al. (2021), "Zero-Layer Transformers".

    >>> import residuum as rz
    >>> from residuum import heads
    >>> model = rz.load("microworld", check=False)
    >>> heads.bigram_table(model, ["Mary went to the store ."] * 20, prepend_bos=False).bigrams
    100
    """
    refuse_unknown(unknown, "bigram_table", "min_count, top, prepend_bos")
    need_model(model, "bigram_table")
    whole_number(min_count, "min_count", 1)
    whole_number(top, "top", 1)
    if prepend_bos is not None:
        yes_or_no(prepend_bos, "prepend_bos")
    embedding(model, torch.zeros(1, dtype=torch.long))  # refused before the corpus is counted
    before, after = _bigrams(model, corpus, prepend_bos)
    firsts, times = torch.unique(before, return_counts=True)
    kept = firsts[times >= min_count]
    if not len(kept):
        raise TokenError(
            f"the corpus is too short: no token stands {min_count} times before another "
            f"({len(before)} bigrams in all)",
            mend="give more text, or a smaller min_count",
        )
    unigram = torch.bincount(after, minlength=model.d_vocab).double()
    compared = _Compared(model, unigram / unigram.sum(), top)
    for row in kept[torch.argsort(times[times >= min_count], descending=True)].split(
        max(1, _BAND // model.d_vocab)
    ):
        compared.add(row, before, after)
    weights = np.array([row.count for row in compared.rows], dtype=np.float64)
    kl, one, none = (np.average(each, weights=weights) for each in compared.kls())
    return BigramTable(
        rows=tuple(compared.rows),
        kl_bits=float(kl),
        unigram_kl_bits=float(one),
        uniform_kl_bits=float(none),
        correlation=compared.correlation(),
        bigrams=len(before),
        pairs=len(torch.unique(before * model.d_vocab + after)),
        min_count=min_count,
        provenance=model.provenance(strategy=f"bigram_table(min_count={min_count})"),
    )


def _bigrams(model: Model, corpus: Any, bos: bool | None) -> tuple[Tensor, Tensor]:
    """Ids before and after, ``[bigram]``."""
    if not isinstance(corpus, (str, Sequence, Tensor, np.ndarray)):
        raise TokenError(
            f"corpus={shown(corpus)} is no corpus", mend="give a list of texts or of rows of ids"
        )
    rows = [corpus] if isinstance(corpus, str) else list(corpus)
    pairs = []
    for row in rows:
        ids = _row_of(model, row, bos)
        if len(ids) > 1:
            pairs.append(torch.stack([ids[:-1], ids[1:]]))
    if not pairs:
        raise TokenError("the corpus is too short: no row has two tokens", mend="give longer texts")
    before, after = torch.cat(pairs, dim=1)
    for ids in (before, after):
        index_of(int(ids.min()), model.d_vocab, "token")
        index_of(int(ids.max()), model.d_vocab, "token")
    return before, after


def _row_of(model: Model, row: Any, bos: bool | None) -> Tensor:
    if isinstance(row, str):
        return torch.tensor(model.adapted.tokens.encode(row, bos))
    try:
        ids = torch.as_tensor(row)
    except (TypeError, ValueError, RuntimeError):
        ids = torch.tensor(0.0)
    if ids.ndim != 1 or ids.dtype.is_floating_point or ids.dtype == torch.bool:
        raise TokenError("a row of the corpus is no list of token ids", mend="give texts or ids")
    return ids.long().cpu()


class _Compared:
    """Rows compared so far."""

    def __init__(self, model: Model, unigram: Tensor, top: int) -> None:
        self.model, self.unigram, self.top = model, unigram, top
        self.rows: list[BigramRow] = []
        self._kls: list[tuple[float, float, float]] = []
        self._seen: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, firsts: Tensor, before: Tensor, after: Tensor) -> None:
        """Compare a band of tokens before."""
        model = self.model
        with torch.no_grad():
            stream = embedding(model, firsts)
            logits = final_logits(model.adapted.parts, stream[None])[0].double().cpu()
        direct = torch.log_softmax(logits, -1)
        for first, row in zip(firsts.tolist(), direct, strict=True):
            counts = torch.bincount(after[before == first], minlength=model.d_vocab).double()
            self._add_one(first, counts, row)

    def _add_one(self, first: int, counts: Tensor, direct: Tensor) -> None:
        probs = counts / counts.sum()
        seen = probs > 0
        log = probs[seen].log()
        others = (direct[seen], self.unigram[seen].log(), torch.full_like(log, -np.log(len(probs))))
        bits = tuple(float((probs[seen] * (log - other)).sum() / np.log(2)) for other in others)
        self._kls.append((bits[0], bits[1], bits[2]))
        self._seen.append(tuple((each - each.mean()).numpy() for each in (log, direct[seen])))  # type: ignore[arg-type]
        self.rows.append(
            BigramRow(
                token=first,
                word=self.model.to_str_tokens(torch.tensor([first]))[0],
                count=int(counts.sum()),
                kl_bits=bits[0],
                corpus=self._best(probs),
                direct=self._best(direct.exp()),
            )
        )

    def _best(self, probs: Tensor) -> tuple[tuple[str, float], ...]:
        best = probs.topk(min(self.top, len(probs)))
        words = self.model.to_str_tokens(best.indices)
        pairs = zip(words, best.values.tolist(), strict=True)
        return tuple((word, prob) for word, prob in pairs if prob > 0)

    def kls(self) -> tuple[np.ndarray, ...]:
        """KL of direct path, unigram and uniform, one for each row."""
        return tuple(np.array(self._kls).T)

    def correlation(self) -> float:
        """Of log probabilities within rows, over the pairs seen."""
        one, two = (np.concatenate(each) for each in zip(*self._seen, strict=True))
        return float(np.corrcoef(one, two)[0, 1]) if one.std() > 0 < two.std() else float("nan")
