"""Examples of some latents from text: ``latent_examples(dictionary, model, text)``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from residuum.core import SILENT, Address, OptionError, Progress, Provenance
from residuum.dictionaries.harvests.token_masks import SKIPPED_BY_DEFAULT, HighNorm
from residuum.dictionaries.judging.judged_rows import JudgedBatch, JudgedRows
from residuum.dictionaries.labels.latent_examples import Entries, LatentExamples
from residuum.dictionaries.reading.bases import FeatureBasis, basis_of
from residuum.runs import Model, need_model
from residuum.runs.arguments import need_progress, shown, whole_number


@torch.no_grad()
def latent_examples(
    dictionary: Any,
    model: Model,
    text: Any,
    *,
    latents: Iterable[int] | None = None,
    window: int = 32,
    above: float = 0.0,
    tokens: int | None = 200_000,
    context: int | None = None,
    skip: Sequence[str | HighNorm] = SKIPPED_BY_DEFAULT,
    progress: Progress = SILENT,
) -> LatentExamples:
    """Run text once and keep where some latents are active, by context of ``window`` tokens.

    Memory holds the text's ids and each active (token, latent) pair, 20 bytes each. A context that
    occurs again is kept once.

    Args:
        dictionary: a dictionary, or a basis such as ``Neurons(model, site)``.
        text: as :func:`harvest` takes it; not the text that the dictionary was trained on.
        latents: which; None takes all that are active on the text.
        window: tokens of a context; a row of text is cut into such pieces.
        above: a latent counts as active above this share of its largest value, 0 to 1.
        tokens: of text, at most; None takes all.
        context, skip: as of :func:`harvest`.

    Raises:
        LoadError: of another model's weights.
        OptionError, TokenError: options out of range; no text.
    """
    need_model(model, "latent_examples")
    need_progress(progress)
    whole_number(window, "window", 2)
    if not isinstance(above, (int, float)) or not 0 <= above < 1:
        raise OptionError(f"above={shown(above)} is out of range", mend="give 0 or more, below 1")
    basis = basis_of(dictionary, model)
    wanted = _wanted(latents, basis)
    rows = JudgedRows.of(model, _Sites(basis.reads, basis.reads), text, tokens, context, skip)
    work = _Gathered(window, basis, wanted)
    progress.start("examples", len(rows.table))
    try:
        for read in rows.batches():
            work.add(read)
            progress.advance(len(read.keep))
    finally:
        progress.finish()
    origin = {
        "of": basis.name, "basis_hash": basis.hash, "text_hash": rows.table.text_hash,
        "window": window, "above": above, "tokens": tokens, "skip": rows.skip.to_json(),
    }  # fmt: skip
    provenance = model.provenance(strategy="latent examples")
    words = _words(model, work.ids)
    return work.examples(above, latents is None, words, origin, provenance)


@dataclass(frozen=True)
class _Sites:
    """What the reader of rows asks of a dictionary."""

    reads: tuple[Address, ...]
    writes: tuple[Address, ...]


@dataclass
class _Gathered:
    """Fills up over the passes."""

    window: int
    basis: FeatureBasis
    wanted: np.ndarray
    ids: list[np.ndarray] = field(default_factory=list)
    documents: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    seen: dict[bytes, int] = field(default_factory=dict)
    found: list[tuple[np.ndarray, ...]] = field(default_factory=list)

    def add(self, read: JudgedBatch) -> None:
        """Cut one pass into contexts and note where the latents are active."""
        place, within = self._cut(read)
        values = read.values(self.basis.reads)[read.keep]
        values = values[:, None] if values.ndim == 2 else values
        active = self.basis.encode(values).float().cpu()[:, torch.from_numpy(self.wanted)].numpy()
        kept = read.keep.cpu().numpy()
        context, position = place[kept], within[kept]
        active[context < 0] = 0
        token, latent = np.nonzero(active > 0)
        self.found.append((latent, context[token], position[token], active[token, latent]))

    def _cut(self, read: JudgedBatch) -> tuple[np.ndarray, np.ndarray]:
        """The context of each token ``[batch pos]`` (-1: one that was there already; padding), and
        its position in it."""
        ids = read.tokens.ids.numpy()
        real = np.ones(ids.shape, bool) if read.tokens.mask is None else read.tokens.mask.numpy()
        place, within = np.full(ids.shape, -1), np.zeros(ids.shape, int)
        for row in range(len(ids)):
            at = np.flatnonzero(real[row])
            for start in range(0, len(at), self.window):
                some = at[start : start + self.window]
                key = ids[row, some].tobytes()
                if len(some) > 1 and key not in self.seen:
                    self.seen[key] = len(self.ids)
                    place[row, some] = len(self.ids)
                    within[row, some] = np.arange(len(some))
                    self.ids.append(ids[row, some])
                    self.documents.append(int(read.documents[row, some[0]]))
                    self.offsets.append(start)
        return place, within

    def examples(
        self, above: float, only_active: bool, words: dict[int, str],
        origin: dict[str, Any], provenance: Provenance,
    ) -> LatentExamples:  # fmt: skip
        """What was gathered."""
        ids = np.full((len(self.ids), self.window), -1, np.int32)
        for row, each in enumerate(self.ids):
            ids[row, : len(each)] = each
        columns = [np.concatenate(each) for each in zip(*self.found, strict=True)]
        order = np.lexsort((columns[2], columns[1], columns[0]))
        latent, context, position, value = (each[order] for each in columns)
        ends = np.searchsorted(latent, np.arange(len(self.wanted) + 1))
        entries = {}
        for index, number in enumerate(self.wanted.tolist()):
            some = slice(ends[index], ends[index + 1])
            strong = value[some] > above * value[some].max(initial=0)
            own = (each[some][strong] for each in (context, position, value))
            if ends[index] < ends[index + 1] or not only_active:
                entries[number] = Entries(*own)
        return LatentExamples(
            ids, np.array(self.documents), np.array(self.offsets), entries, words,
            True, origin, provenance,
        )  # fmt: skip


def _wanted(latents: Iterable[int] | None, basis: FeatureBasis) -> np.ndarray:
    if latents is None:
        return np.arange(basis.n_latents)
    if isinstance(latents, (str, bytes)) or not isinstance(latents, Iterable):
        raise OptionError(
            f"latents={shown(latents)} are no numbers", mend="give their numbers, such as [3, 14]"
        )
    found = list(dict.fromkeys(int(each) if isinstance(each, np.integer) else each
                               for each in latents))  # fmt: skip
    for each in found:
        if isinstance(each, bool) or not isinstance(each, int) or not 0 <= each < basis.n_latents:
            raise OptionError(
                f"latents= holds {shown(each)}: there is no latent of that number",
                mend=f"they go from 0 to {basis.n_latents - 1}",
            )
    if not found:
        raise OptionError("latents is empty", mend="give their numbers, or leave it out for all")
    return np.array(found)


def _words(model: Model, contexts: list[np.ndarray]) -> dict[int, str]:
    """Tokens as they stand behind another token: with their space, where they have one."""
    used = np.unique(np.concatenate(contexts)).tolist()
    tokens = model.adapted.tokens
    alone = tokens.strings(used)
    if tokens.tokenizer is None:
        return {each: f" {word}" for each, word in zip(used, alone, strict=True)}
    twice = [tokens.tokenizer.decode([each, each]) for each in used]
    behind = [
        two[len(one) :] if two.startswith(one) and len(two) > len(one) else one
        for one, two in zip(alone, twice, strict=True)
    ]
    return dict(zip(used, behind, strict=True))
