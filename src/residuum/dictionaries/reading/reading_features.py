"""Read features: one pass over text shows what every unit does. ``rz.read_features(...)``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from residuum.core import (
    SILENT,
    OptionError,
    Progress,
    Provenance,
    ResiduumError,
    StoreError,
    TokenError,
    content_hash,
)
from residuum.dictionaries.harvests.harvest_work import identity, norm_limits
from residuum.dictionaries.harvests.harvesting import rows_in_a_pass
from residuum.dictionaries.harvests.site_passes import PassRows, SitePasses
from residuum.dictionaries.harvests.token_masks import SKIPPED_BY_DEFAULT, HighNorm, Skip
from residuum.dictionaries.harvests.token_table import Layout, token_table
from residuum.dictionaries.reading.accumulator import Accumulator, Sizes
from residuum.dictionaries.reading.bases import FeatureBasis, Latents, basis_of
from residuum.dictionaries.reading.chunk import chunks_of
from residuum.dictionaries.reading.directions_written import logit_effects, neighbours
from residuum.dictionaries.reading.feature_reading import EFFECTS, PARTNERS, FeatureReading
from residuum.dictionaries.reading.reading_file import FORMAT, read_record, read_state, write_state
from residuum.runs import Model, need_model
from residuum.runs.arguments import need_progress

_PART_TOKENS = 65_536
_DENSE_COMPANY = 2**23


def read_features(
    basis: Any,
    model: Model,
    text: Any,
    *,
    sizes: Sizes | None = None,
    keep: str | Path | None = None,
    tokens: int | None = None,
    context: int | None = None,
    packing: bool = False,
    column: str = "text",
    prepend_bos: bool | None = None,
    skip: Sequence[str | HighNorm] = SKIPPED_BY_DEFAULT,
    batch_size: int | None = None,
    progress: Progress = SILENT,
) -> FeatureReading:
    """Run a model over text once and gather, for all units at once, what they do.

    Args:
        basis: a dictionary (its latents are read), or ``Neurons(model, "L1.mlp_act")``,
            ``Neurons(model, "L1.resid_post")`` (the stream's own dimensions),
            ``RandomDirections(model, "L1.resid_post", 256)``: all are read the same way. Of a
            cross-layer transcoder give one of its ``layers``.
        model: a loaded model; each pass stops after the site.
        text: as in :func:`residuum.dictionaries.harvests.harvesting.harvest`, and so the options
            ``tokens`` to ``skip`` and ``batch_size``.
        sizes: how many examples of each unit are kept, and how long they are.
        keep: folder for the state of the pass; the same call goes on where it stopped and ends
            with the same reading, bit by bit.
        progress: who is told, in rows of text.

    Returns:
        The reading. Memory is set by units and ``sizes``, not by the text (but for the token ids,
        on disk). Two readings are added up by :func:`merge_readings`.

    Raises:
        OptionError, AddressError, SiteRefused: options out of range; no dictionary and no basis.
        LoadError: a dictionary of another model's weights.
        TokenError, ShapeError: as harvesting does.
        StoreError: ``keep`` holds another pass.

    Shows: where units are active on this text, what they write, which go together. Does not show:
    what the model uses them for.

    Source: the parts of the dashboards of Bricken et al. 2023, "Towards Monosemanticity"; gathered
    here in one pass, examples as order statistics of strict orders, so that they can be merged.

    >>> import residuum as rz
    >>> from residuum.dictionaries import Neurons, read_features
    >>> model = rz.load("microworld", check=False)
    >>> texts = ["Mary went to the store .", "John gave a drink to Mary ."]
    >>> reading = read_features(Neurons(model, "L1.mlp_act"), model, texts)
    >>> reading.n_tokens, reading.n_latents == model.dims.d_mlp
    (13, True)
    >>> best = int(reading.largest.argmax())
    >>> bool(reading.latent(best).examples[0].activation == reading.largest[best])
    True
    """
    need_model(model, "read_features")
    need_progress(progress)
    units = basis_of(basis, model)
    layout = Layout(context, packing, tokens, prepend_bos, column).settled(model)
    table = token_table(model, text, layout)
    masks = Skip.of(model, skip)
    size = rows_in_a_pass(table, batch_size)
    passes = SitePasses(model, table, units.reads, "float32", masks, size)
    counted = Accumulator(units.n_latents, _settled(sizes, units))
    gone = _run(passes, units, counted, keep, progress)
    counted.counts.documents[0] = table.n_texts
    if not counted.counts.tokens[0]:
        raise TokenError("every token of the text was left out", mend="give skip=() or more text")
    with torch.no_grad():
        written = units.written(model)
        effects, near = logit_effects(model, written, EFFECTS), neighbours(written, PARTNERS)
    return FeatureReading(
        name=units.name, basis_hash=units.hash, counted=counted, 
        tokens=_vocabulary(model, _used(counted, effects)),
        effects=effects or {}, near=near, labels=dict(units.labels), texts=(table.hash,),
        left_out=gone, provenance=model.provenance(strategy=f"read_features({units.name})"),
        noun="latent" if isinstance(units, Latents) else "unit",
    )  # fmt: skip


def merge_readings(first: FeatureReading, *others: FeatureReading) -> FeatureReading:
    """One reading of all their texts; what was gathered is that of one pass, to the bit.

    Raises:
        OptionError: of other units, or other sizes; two of the same text.

    Shows and does not show: as of :func:`read_features`. A text is known by the hash of all its
    documents: single documents that stand in two different texts count twice, but an example of
    them stands once. Texts are numbered on: the first of the second reading comes after the last of
    the first.
    """
    counted, gone, texts = first.counted.copy(), dict(first.left_out), list(first.texts)
    labels = dict(first.labels)
    for other in others:
        same = (other.basis_hash, other.provenance.weight_hash)
        if same != (first.basis_hash, first.provenance.weight_hash):
            raise OptionError(
                f"readings of different units: {first.name} and {other.name}",
                mend="merge readings of one dictionary and one model",
            )
        again = set(texts) & set(other.texts)
        if again:
            raise OptionError(
                f"two readings are of the same text ({min(again)[:12]}): it would count twice",
                mend="merge readings of different parts of the text",
            )
        counted.merge(other.counted)
        gone = {name: gone.get(name, 0) + other.left_out.get(name, 0) for name in gone}
        texts += other.texts
        labels = {**other.labels, **labels}
    tokens = {i: text for each in (first, *others) for i, text in each.tokens.items()}
    return replace(
        first, counted=counted, left_out=gone, texts=tuple(texts), labels=labels, tokens=tokens
    )


def load_reading(folder: str | Path) -> FeatureReading:
    """Read what ``reading.save(folder)`` wrote; no model is needed.

    Raises:
        StoreError: no such folder, another format, or tensors changed since.
    """
    tensors, record = read_record(folder)
    try:
        counted = Accumulator(record["n_latents"], Sizes(**record["sizes"]))
        counted.restore(tensors)
        return FeatureReading(
            name=record["name"], basis_hash=record["basis"], counted=counted,
            tokens={int(i): text for i, text in record["tokens"].items()},
            effects=_group(tensors, "effects"),
            near=_group(tensors, "near"), texts=tuple(record["texts"]),
            labels={int(i): words for i, words in record["labels"].items()},
            left_out=record["left_out"], noun=record["noun"],
            provenance=Provenance.from_json(record["provenance"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, ResiduumError) as error:
        raise StoreError(
            "no reading: the record is damaged",
            mend="give a folder that reading.save(...) wrote, or read the features again",
            where=str(folder),
        ) from error


def _run(
    passes: SitePasses, units: FeatureBasis, counted: Accumulator, keep: Any, progress: Progress
) -> dict[str, int]:
    """Gather all parts of the text; returns the tokens left out, by reason."""
    table = passes.table
    longest = int(np.diff(table.starts).max())
    per_part = max(passes.batch_size, _PART_TOKENS // longest)
    work = content_hash(
        {**identity(passes), "basis": units.hash, "sizes": counted.sizes_json(), "part": per_part,
         "format": FORMAT}
    )  # fmt: skip
    state = None if keep is None else read_state(keep, work)
    done, gone = 0, dict.fromkeys((*passes.skip.names, *_high(passes)), 0)
    if state is not None:
        done, gone, tensors = state
        counted.restore(tensors)
    limits = norm_limits(passes) if passes.skip.high_norm and done < len(table) else None
    progress.start("read features", len(table) - done)
    try:
        for start in range(done, len(table), per_part):
            stop = min(start + per_part, len(table))
            for part in _kept(passes(np.arange(start, stop)), limits, gone):
                for chunk in chunks_of(part, table, units):
                    counted.update(chunk)
                progress.advance(part.n_rows)
            if keep is not None:
                write_state(keep, work, stop, gone, counted.tensors())
    finally:
        progress.finish()
    return gone


def _high(passes: SitePasses) -> tuple[str, ...]:
    return ("high_norm",) if passes.skip.high_norm is not None else ()


def _kept(
    parts: Iterator[PassRows], limits: Sequence[float] | None, gone: dict[str, int]
) -> Iterator[PassRows]:
    """The passes without tokens of extreme norm; counts what is left out into ``gone``."""
    for part in parts:
        for name, count in part.gone.items():
            gone[name] += count
        if limits is None:
            yield part
            continue
        stay = np.asarray((part.rows.norms <= np.asarray(limits)).all(axis=1))
        gone["high_norm"] += int((~stay).sum())
        yield PassRows(part.rows.where(stay), part.places[stay], part.n_rows, part.gone)


def _settled(sizes: Sizes | None, units: FeatureBasis) -> Sizes:
    """The sizes; units that are active at every other token get a smaller sample of company."""
    if sizes is not None and not isinstance(sizes, Sizes):
        raise OptionError(f"sizes={sizes!r:.40} are no sizes", mend="give Sizes(top=..., ...)")
    wanted = sizes or Sizes()
    if isinstance(units, Latents):
        return wanted
    return replace(
        wanted, company=min(wanted.company, max(1024, _DENSE_COMPANY // units.n_latents))
    )


def _vocabulary(model: Model, used: Sequence[int]) -> dict[int, str]:
    """Tokens as text, as they stand behind another token: with their space, where they have one."""
    tokens = model.adapted.tokens
    alone = tokens.strings(used)
    if tokens.tokenizer is None:
        return dict(zip(used, alone, strict=True))
    twice = [tokens.tokenizer.decode([each, each]) for each in used]
    texts = [
        two[len(one) :] if two.startswith(one) and len(two) > len(one) else one
        for one, two in zip(alone, twice, strict=True)
    ]
    return dict(zip(used, texts, strict=True))


def _used(counted: Accumulator, effects: Mapping[str, np.ndarray] | None) -> list[int]:
    parts = [counted.top.ids, counted.sample.ids]
    parts += [effects["up"], effects["down"]] if effects else []
    found = np.unique(np.concatenate([np.unique(each) for each in parts]))
    return found[found >= 0].tolist()


def _group(tensors: Mapping[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    return {n.split(".")[1]: each for n, each in tensors.items() if n.startswith(name + ".")}
