"""Skip-trigrams of a one-layer attention-only model: ``A … B → C``, and whether it obeys them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from residuum.core import AddressError, OptionError, Provenance
from residuum.core.saving import save_result
from residuum.heads.circuits import ov, qk
from residuum.heads.factored import FactoredMatrix
from residuum.heads.reading import embedding, head_of, index_of, norm_map, unembedding
from residuum.runs import (
    Model,
    bootstrap_mean_intervals,
    need_model,
    refuse_unknown,
    shown,
    whole_number,
)

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Table

_BAND = 2**24
_CONTROLS = 64
_MEASURED = ("moved", "interval", "rank", "chance")


@dataclass(frozen=True)
class SkipTrigram:
    """``source … here → predicted`` in one head.

    Attributes:
        head: such as ``L0H2``.
        source, here, predicted: token ids A, B, C; ``words`` the same as texts.
        strength: ``score`` × ``raised``: the list's order.
        score: attention score of A asked by B, above the mean over all tokens A (after the head's
            own scaling).
        raised: logit of C that attending to A adds, above the mean over C.
        direct: logit that B alone gives C by the direct path, above the mean over C.
        moved: mean change of C's logit (above the vocabulary's mean) at B when a random token
            before it is replaced with A; NaN when unchecked.
        interval: 95 % bootstrap interval of ``moved``.
        rank: share of the vocabulary that A moved less than C, 0 to 1.
        chance: share of other tokens (64 at random) whose interval lies above zero as well.
    """

    head: str
    source: int
    here: int
    predicted: int
    words: tuple[str, str, str]
    strength: float
    score: float
    raised: float
    direct: float
    moved: float = float("nan")
    interval: tuple[float, float] = (float("nan"), float("nan"))
    rank: float = float("nan")
    chance: float = float("nan")

    def __str__(self) -> str:
        source, here, predicted = self.words
        return f"{source} … {here} → {predicted}"

    @property
    def obeyed(self) -> bool:
        """Whether C's logit rose, its interval above zero."""
        return self.interval[0] > 0


@dataclass(frozen=True, eq=False, repr=False)
class SkipTrigrams:
    """The strongest skip-trigrams of a one-layer model, largest first.

    Shows: which triples the weights favour, and whether putting A before B raises C in the model.
    Does not show: that the model owes them to this head alone (``moved`` is of the whole model, all
    heads together), or that they ever occur in text.

    Attributes:
        found: the triples.
        obeyed_frac: share of them whose logit rose (interval above zero); NaN when unchecked.
        chance_frac: the same share of random tokens in C's place: what ``obeyed_frac`` must beat.
        checks: contexts for each triple.
        notes: what was left out of the weights.
    """

    found: tuple[SkipTrigram, ...]
    checks: int
    notes: tuple[str, ...]
    provenance: Provenance

    def __repr__(self) -> str:
        lines = [f"  {each.head} {each}  {each.strength:.3g}" for each in self.found[:5]]
        head = f"SkipTrigrams({len(self.found)} triples, {self.obeyed_frac:.0%} obeyed, chance "
        head += f"{self.chance_frac:.0%}"
        return "\n".join([head if self.checks else f"SkipTrigrams({len(self.found)} triples",
                          *lines]) + ")"  # fmt: skip

    @property
    def obeyed_frac(self) -> float:
        """Share of the triples that the model obeys."""
        if not self.checks or not self.found:
            return float("nan")
        return sum(each.obeyed for each in self.found) / len(self.found)

    @property
    def chance_frac(self) -> float:
        """Share of random tokens in C's place that rise as well."""
        if not self.checks or not self.found:
            return float("nan")
        return sum(each.chance for each in self.found) / len(self.found)

    def figure(self) -> Table:
        """The triples with their strength and how far the model's logit moved."""
        from residuum.figures import Column, Table

        columns = [
            "head",
            "A … B → C",
            Column("score", digits=2),
            Column("A raises C", "logits", digits=2),
            Column("B raises C", "logits", digits=2),
            Column("measured", "logits", digits=2),
            Column("from", digits=2),
            Column("to", digits=2),
            Column("rank of C", digits=2),
            Column("chance", digits=2),
        ]
        rows = [
            [e.head, str(e), e.score, e.raised, e.direct, e.moved, *e.interval, e.rank, e.chance]
            for e in self.found[:40]
        ]
        return Table(
            columns,
            rows,
            title="Skip-trigrams",
            caption=(
                f"By the weights, and the change of C's logit when A stands before B in "
                f"{self.checks} random contexts (95 % interval): {self.obeyed_frac:.0%} rise, of "
                f"random tokens in C's place {self.chance_frac:.0%}. {' '.join(self.notes)}"
            ),
            does_not_show="That one head alone does it, or that the triple occurs in text.",
        )

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each triple."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    **{k: v for k, v in vars(e).items() if k not in ("words", "interval")},
                    **dict(zip(("A", "B", "C"), e.words, strict=True)),
                    "low": e.interval[0],
                    "high": e.interval[1],
                }
                for e in self.found
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data."""

        def plain(value: Any) -> Any:
            if isinstance(value, tuple):
                return [plain(each) for each in value]
            return None if isinstance(value, float) and np.isnan(value) else value

        return {
            "found": [{k: plain(v) for k, v in vars(e).items()} for e in self.found],
            "checks": self.checks,
            "obeyed_frac": plain(self.obeyed_frac),
            "chance_frac": plain(self.chance_frac),
            "notes": list(self.notes),
            "provenance": self.provenance.to_json(),
        }

    def save(self, path: str | Path) -> None:
        """Write JSON, the table as CSV, or the figure as HTML, SVG or PNG.

        Raises:
            OptionError: another suffix.
            StoreError: no path, or a folder that does not exist.
        """
        save_result(self, path)


def skip_trigrams(
    model: Model,
    n: int = 20,
    *,
    head: int | None = None,
    width: int = 8,
    checks: int = 32,
    length: int | None = None,
    seed: int = 0,
    **unknown: Any,
) -> SkipTrigrams:
    """List the strongest ``A … B → C`` of a one-layer model from its weights, and check them.

    For each A the ``width`` tokens B that score it highest above their mean and the ``width``
    tokens C that it raises most are combined; the products ``score × raised`` are sorted over all A
    and heads. Each token's embedding goes through the norm at its own size (exact for a token at a
    position without position embedding); ``raised`` is at the final norm's size 1.

    Args:
        model: attention-only, one layer.
        n: how many triples.
        head: only this head's; all by default.
        width: B and C kept for each A.
        checks: random contexts for each triple; 0 skips the check.
        length: tokens before B in a context; by default at most 8 and what fits the context.
        seed: of the contexts.

    Returns:
        The triples of positive strength with ``moved``: put A, or another random token, at a
        random place before B among random tokens other than A; how much A changes C's logit at B.
        Every triple is checked, none is dropped.

    Raises:
        OptionError: no model, an unknown option, a number out of range, a length that does not fit.
        AddressError: more than one layer, MLPs, no such head, no linear embedding.

    Shows and does not show: see :class:`SkipTrigrams`. Listed triples are the largest of very many,
    by selection. One head cannot hold ``A … B → C`` and ``A … B' → C'`` without ``A … B → C'``:
    such "bugs" stand in the list beside what was learned; ``direct`` tells them apart where B
    alone decides between C and C'.

    Source: Elhage et al. (2021), "One-Layer Attention-Only Transformers", skip-trigrams; the check
    against behaviour is added here.

    >>> import residuum as rz
    >>> from residuum import heads
    >>> from residuum.models.native import NativeConfig, NativeForCausalLM
    >>> one = rz.load(NativeForCausalLM(NativeConfig(n_layers=1, d_vocab=9, d_model=8, n_ctx=6)))
    >>> len(heads.skip_trigrams(one, 3, checks=4).found)
    3
    """
    refuse_unknown(unknown, "skip_trigrams", "n, head, width, checks, length, seed")
    need_model(model, "skip_trigrams")
    for value, name, least in ((n, "n", 1), (width, "width", 1), (checks, "checks", 0)):
        whole_number(value, name, least)
    whole_number(seed, "seed", 0)
    part = head_of(model, 0, 0 if head is None else head, "skip_trigrams")[0]
    if model.n_layers != 1 or part.has_mlp:
        raise AddressError(
            f"skip-trigrams are the algorithm of one attention-only layer; this model has "
            f"{model.n_layers} layer{'s' if model.n_layers > 1 else ''}"
            f"{' with MLPs' if part.has_mlp else ''}",
            mend="read single heads with heads.qk(..., full=True) and heads.ov(..., full=True)",
        )
    length = _length(model, length)
    some = range(model.n_heads) if head is None else [index_of(head, model.n_heads, "head")]
    raw: list[tuple[float, int, int, int, int, float, float]] = []
    for each in some:
        raw = sorted([*raw, *_strongest(model, each, n, width)], reverse=True)[:n]
    triples = tuple(_named(model, each) for each in raw)
    if checks:
        triples = tuple(_checked(model, each, checks, length, seed + i)
                        for i, each in enumerate(triples))  # fmt: skip
    notes = ("Positions and biases are left out of the weights.",)
    strategy = f"skip_trigrams(n={n}, width={width}, checks={checks}, length={length})"
    return SkipTrigrams(triples, checks, notes, model.provenance(strategy=strategy, seed=seed))


def _length(model: Model, length: int | None) -> int:
    if model.n_ctx is not None and model.n_ctx < 2:
        raise OptionError(
            f"in a context of {model.n_ctx} token nothing stands before B",
            mend="skip-trigrams need a model with a context of 2 tokens or more",
        )
    most = 8 if model.n_ctx is None else model.n_ctx - 1
    if length is None:
        length = min(8, most)
    if type(length) is not int or length < 1 or (model.n_ctx is not None and length > most):
        raise OptionError(
            f"length={shown(length)} does not fit the context of {model.n_ctx}",
            mend=f"use 1 to {most} tokens before B",
        )
    return length


def _sizes(model: Model) -> Tensor:
    """What each token's embedding is divided by in the norm, ``[d_vocab 1]``."""
    tokens = embedding(model)
    norm = norm_map(model.adapted.parts.layers[0].ln1, model.dims.d_model)
    return torch.ones_like(tokens[:, :1]) if norm is None else norm.size(tokens)


def _strongest(
    model: Model, head: int, n: int, width: int
) -> list[tuple[float, int, int, int, int, float, float]]:
    size = _sizes(model)
    attn = model.adapted.parts.layers[0].attn
    scale = float(getattr(attn, "scaling", model.dims.d_head**-0.5))
    asked = _over(qk(model, 0, head, full=True).matrix, size, size).T  # [A B]
    asked = FactoredMatrix(_centred(asked.left * scale), asked.right)  # over A
    raised = _over(ov(model, 0, head, full=True).matrix, size, None)
    raised = FactoredMatrix(raised.left, _centred(raised.right.T).T)  # over C
    found: list[tuple[float, int, int, int, int, float, float]] = []
    for start in range(0, asked.shape[0], step := max(1, _BAND // max(asked.shape[1], 1))):
        rows = torch.arange(start, min(start + step, asked.shape[0]))
        scores, here = asked.rows(rows).topk(min(width, asked.shape[1]))
        logits, predicted = raised.rows(rows).topk(min(width, raised.shape[1]))
        product = scores.clamp_min(0)[:, :, None] * logits.clamp_min(0)[:, None, :]
        best = product.flatten().topk(min(n, product.numel()))
        for value, at in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            a, b, c = np.unravel_index(at, product.shape)
            found.append(
                (value, head, start + int(a), int(here[a, b]), int(predicted[a, c]),
                 float(scores[a, b]), float(logits[a, c]))
            )  # fmt: skip
    return sorted((each for each in found if each[0] > 0), reverse=True)[:n]


def _over(matrix: FactoredMatrix, rows: Tensor, columns: Tensor | None) -> FactoredMatrix:
    right = matrix.right if columns is None else matrix.right / columns.T
    return FactoredMatrix(matrix.left / rows, right)


def _centred(rows: Tensor) -> Tensor:
    return rows - rows.mean(0, keepdim=True)


def _named(model: Model, raw: tuple[float, int, int, int, int, float, float]) -> SkipTrigram:
    value, head, a, b, c, score, raised = raw
    words = model.to_str_tokens(torch.tensor([a, b, c]))
    row = (embedding(model, torch.tensor([b])) @ unembedding(model, fold=True)[0])[0]
    return SkipTrigram(
        head=f"L0H{head}",
        source=a,
        here=b,
        predicted=c,
        words=(words[0], words[1], words[2]),
        strength=value,
        score=score,
        raised=raised,
        direct=float(row[c] - row.mean()),
    )


def _checked(model: Model, triple: SkipTrigram, checks: int, length: int, seed: int) -> SkipTrigram:
    """The triple with how far the model's logits moved."""
    generator = torch.Generator().manual_seed(seed)
    vocabulary = embedding(model).shape[0]
    ids = torch.randint(0, vocabulary - 1, (checks, length + 1), generator=generator)
    ids += ids >= triple.source  # A stands nowhere else
    ids[:, -1] = triple.here
    place = torch.randint(0, length, (checks,), generator=generator)
    with_source = ids.clone()
    with_source[torch.arange(checks), place] = triple.source
    both = model.run(torch.cat([with_source, ids])).last.double().cpu()
    change = both[:checks] - both[checks:]
    change = change - change.mean(-1, keepdim=True)
    moved = change[:, triple.predicted]
    means = change.mean(0)
    others = torch.randperm(change.shape[-1], generator=generator)
    others = others[others != triple.predicted][:_CONTROLS]
    places = torch.cat([torch.tensor([triple.predicted]), others])
    low, high = bootstrap_mean_intervals(change[:, places].T.cpu().numpy(), seed=seed)
    rank = float((means < means[triple.predicted]).double().sum()) / max(1, len(means) - 1)
    return SkipTrigram(
        **{k: v for k, v in vars(triple).items() if k not in _MEASURED},
        moved=float(moved.mean()),
        interval=(float(low[0]), float(high[0])),
        rank=rank,
        chance=float((low[1:] > 0).mean()) if len(others) else float("nan"),
    )
