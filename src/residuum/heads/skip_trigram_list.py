"""Skip-trigrams of a one-layer attention-only model: ``A … B → C``, and whether it obeys them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from residuum.core import AddressError, OptionError, Provenance
from residuum.core.saving import save_result
from residuum.heads.reading import embedding, head_of, index_of
from residuum.heads.skip_trigram_search import Search, Triple, default_draws
from residuum.heads.weight_proof import prove_weights
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
        beyond: whether ``strength`` is above that of every triple in circuits turned at random.
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
    beyond: bool = False

    def __str__(self) -> str:
        source, here, predicted = self.words
        return f"{source} … {here} → {predicted}"

    @property
    def risen(self) -> bool:
        """Whether C's logit rose, its interval above zero."""
        return self.interval[0] > 0

    @property
    def obeyed(self) -> bool:
        """Whether it rose, and the weights hold the triple more strongly than noise would."""
        return self.risen and self.beyond


@dataclass(frozen=True, eq=False, repr=False)
class SkipTrigrams:
    """The strongest skip-trigrams of a one-layer model, largest first.

    Shows: which triples the weights favour, more than noise would, and whether putting A before B
    raises C in the model. A model of random weights raises its own largest products too (weights
    say what they do); only their size tells that nothing was learned. So a triple is *obeyed* where
    it rises and is stronger than the strongest that chance makes of the same circuits.
    Does not show: that the model owes them to this head alone (``moved`` is of the whole model, all
    heads together), or that they ever occur in text.

    Attributes:
        found: the triples.
        checks: contexts for each triple.
        null_strength: the largest strength in ``draws`` of the same circuits turned at random
            against the embedding: what the strongest triple of noise of this size would have.
        draws: of the null.
        notes: what was left out of the weights.
    """

    found: tuple[SkipTrigram, ...]
    checks: int
    null_strength: float
    draws: int
    notes: tuple[str, ...]
    provenance: Provenance

    def __repr__(self) -> str:
        lines = [f"  {each.head} {each}  {each.strength:.3g}" for each in self.found[:5]]
        head = f"SkipTrigrams({len(self.found)} triples, {self._said()}"
        return "\n".join([head, *lines]) + ")"

    def _said(self) -> str:
        beyond = f"{self.beyond_frac:.0%} stronger than noise ({self.null_strength:.3g})"
        if not self.checks:
            return beyond
        risen = f"{self.risen_frac:.0%} rise (random tokens {self.chance_frac:.0%})"
        return f"{self.obeyed_frac:.0%} obeyed: {risen}, {beyond}"

    @property
    def obeyed_frac(self) -> float:
        """Share of the triples that rise and are stronger than noise; NaN when unchecked."""
        return self._mean([each.obeyed for each in self.found]) if self.checks else float("nan")

    @property
    def risen_frac(self) -> float:
        """Share of the triples whose logit rose (interval above zero); NaN when unchecked."""
        return self._mean([each.risen for each in self.found]) if self.checks else float("nan")

    @property
    def chance_frac(self) -> float:
        """Share of random tokens in C's place that rise as well: what ``risen_frac`` must beat."""
        return self._mean([each.chance for each in self.found]) if self.checks else float("nan")

    @property
    def beyond_frac(self) -> float:
        """Share of the triples that are stronger than the strongest of turned circuits."""
        return self._mean([each.beyond for each in self.found])

    @staticmethod
    def _mean(values: Sequence[float]) -> float:
        return float(np.mean(values)) if values else float("nan")

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
            "obeyed",
        ]
        rows = [
            [
                e.head,
                str(e),
                e.score,
                e.raised,
                e.direct,
                e.moved,
                *e.interval,
                e.rank,
                e.chance,
                "yes" if e.obeyed else "no" if e.beyond else "no stronger than noise",
            ]
            for e in self.found[:40]
        ]
        return Table(
            columns,
            rows,
            title="Skip-trigrams",
            caption=(
                f"By the weights, and the change of C's logit when A stands before B in "
                f"{self.checks} random contexts (95 % interval). {self._said()}. "
                f"{' '.join(self.notes)}"
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
                    "obeyed": e.obeyed,
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
            "found": [
                {k: plain(v) for k, v in vars(e).items()} | {"obeyed": e.obeyed} for e in self.found
            ],
            "checks": self.checks,
            "obeyed_frac": plain(self.obeyed_frac),
            "risen_frac": plain(self.risen_frac),
            "chance_frac": plain(self.chance_frac),
            "beyond_frac": plain(self.beyond_frac),
            "null_strength": self.null_strength,
            "draws": self.draws,
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
    draws: int | None = None,
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
        draws: of the null: in each, the same search with the heads' circuits turned at random
            against the embedding; one search each. By default 20, in vocabularies above 4,096
            fewer, so that it costs no more.
        seed: of the contexts and the null.

    Returns:
        The triples of positive strength with ``moved``: put A, or another random token, at a
        random place before B among random tokens other than A; how much A changes C's logit at B.
        Every triple is checked, none is dropped.

    Raises:
        OptionError: no model, an unknown option, a number out of range, a length that does not fit.
        AddressError: more than one layer, MLPs, no such head, no linear embedding, an adapter or a
            hook on the weights.
        ShapeError: NaN or infinity in them.

    Shows and does not show: see :class:`SkipTrigrams`. Listed triples are the largest of very many,
    by selection. One head cannot hold ``A … B → C`` and ``A … B' → C'`` without ``A … B → C'``:
    such "bugs" stand in the list beside what was learned; ``direct`` tells them apart where B
    alone decides between C and C'.

    Source: Elhage et al. (2021), "One-Layer Attention-Only Transformers", skip-trigrams; the check
    against behaviour and the null are added here.

    >>> import residuum as rz
    >>> from residuum import heads
    >>> from residuum.models.native import NativeConfig, NativeForCausalLM
    >>> one = rz.load(NativeForCausalLM(NativeConfig(n_layers=1, d_vocab=9, d_model=8, n_ctx=6)))
    >>> len(heads.skip_trigrams(one, 3, checks=4).found)
    3
    """
    refuse_unknown(unknown, "skip_trigrams", "n, head, width, checks, length, draws, seed")
    need_model(model, "skip_trigrams")
    for value, name, least in ((n, "n", 1), (width, "width", 1), (checks, "checks", 0)):
        whole_number(value, name, least)
    whole_number(seed, "seed", 0)
    if draws is not None:
        whole_number(draws, "draws", 1)
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
    prove_weights(model, part, "qkvo")
    search = Search.of(model)
    draws = default_draws(len(search.tokens)) if draws is None else draws
    null = search.by_chance(some, draws, seed)
    triples = tuple(_named(search, each, null) for each in search.strongest(some, n, width))
    if checks:
        triples = tuple(_checked(model, each, checks, length, seed + i)
                        for i, each in enumerate(triples))  # fmt: skip
    notes = (
        "Positions and biases are left out of the weights.",
        f"Were the weights noise, the strongest triple would be beyond it in 1 of {draws + 1} "
        "draws.",
    )
    strategy = (
        f"skip_trigrams(n={n}, width={width}, checks={checks}, length={length}, draws={draws})"
    )
    made = model.provenance(strategy=strategy, seed=seed)
    return SkipTrigrams(triples, checks, null, draws, notes, made)


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


def _named(search: Search, found: Triple, null: float) -> SkipTrigram:
    model, c = search.model, found.predicted
    words = model.to_str_tokens(torch.tensor([found.source, found.here, c]))
    row = (embedding(model, torch.tensor([found.here])) @ search.unembed)[0]
    return SkipTrigram(
        head=f"L0H{found.head}",
        source=found.source,
        here=found.here,
        predicted=c,
        words=(words[0], words[1], words[2]),
        strength=found.strength,
        score=found.score,
        raised=found.raised,
        direct=float(row[c] - row.mean()),
        beyond=found.strength > null,
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
