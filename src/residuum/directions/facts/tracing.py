"""The verb that traces where a fact is recalled: corrupt the subject, restore states."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from torch import Tensor

from residuum.core import SILENT, Edit, OptionError, Patch, Progress
from residuum.directions.facts.corruption import Corruption, Noise, OtherSubject
from residuum.directions.facts.fact import Fact, FactRows, need_facts, rows_of
from residuum.directions.facts.trace import KINDS, MEASURES, ROLES, FactTrace
from residuum.runs import Model, need_model, refuse_unknown, shown, whole_number
from residuum.runs.arguments import need_progress

_SITES = {"resid": "resid_post", "attn": "attn_out", "mlp": "mlp_out"}
_OPTIONS = "corruption, kinds, window, measure, seed, progress"


def trace_fact(
    model: Model,
    facts: Sequence[Fact] | Fact,
    *,
    corruption: Corruption | None = None,
    kinds: Sequence[str] = KINDS,
    window: int = 1,
    measure: str = "prob",
    seed: int = 0,
    progress: Progress = SILENT,
    **unknown: Any,
) -> FactTrace:
    """Trace where facts are recalled.

    The subject is corrupted; then, for each layer and position, the clean state is put back there
    and the answer read.

    Args:
        model: a loaded model.
        facts: facts that it knows; each template names its subject once.
        corruption: :class:`OtherSubject` (by default) or :class:`Noise`.
        kinds: what is restored: ``resid`` (the stream after a block), ``attn``, ``mlp`` (what the
            block adds).
        window: layers around each one in which ``attn`` and ``mlp`` are restored together; the
            stream is always restored in one.
        measure: ``prob`` of the answer, or ``logit`` of its first token.
        seed: of the bootstrap and, with the corruption's own, of its choices.
        progress: who is told.

    Returns:
        Effects: the measure regained, by kind, layer, and role of the position.

    Raises:
        OptionError: no model or facts, an unknown kind, measure or option; a fact without another
            subject of the same number of tokens.
        TokenError: words the model does not know.

    Shows: from which states alone the answer can be regained. Does not show: that the fact is
    stored there: Hase et al. 2023 found that tracing does not tell where an edit works best.

    Source: Meng et al. 2022, "Locating and Editing Factual Associations in GPT", §2.1–2.2.
    Deviations: another subject by default (Zhang & Nanda 2024, "Towards Best Practices of
    Activation Patching", §3: noise can break the model); the window's width is the caller's, 1 by
    default, not 10 layers of 48.

    >>> import residuum as rz
    >>> from residuum.directions.facts import microworld_facts
    >>> model = rz.load("microworld")
    >>> trace = trace_fact(model, microworld_facts("capital")[:8], kinds=("mlp",))
    >>> trace.layer
    0
    """
    refuse_unknown(unknown, "trace_fact", _OPTIONS)
    need_model(model, "trace_fact")
    need_progress(progress)
    known = need_facts(facts, "facts", once=True)
    _check(kinds, measure)
    whole_number(window, "window", 1)
    whole_number(seed, "seed", 0)
    way = corruption if corruption is not None else OtherSubject()
    if not isinstance(way, (OtherSubject, Noise)):
        raise OptionError(
            f"corruption={shown(corruption)}", mend="use OtherSubject() or Noise(scale=3.0)"
        )
    rows = rows_of(model, known)
    broken = way.corrupted(model, known, rows, seed)
    read = _reader(measure)
    clean = model.run(
        rows.batch.ids, attention_mask=rows.batch.mask,
        capture=[f"L*.{_SITES[kind]}" for kind in kinds],
    )  # fmt: skip
    states = {
        (kind, layer): clean[f"L{layer}.{_SITES[kind]}"]
        for kind in kinds
        for layer in range(model.n_layers)
    }
    base_clean = read(rows, clean.logits)
    groups = _groups(rows)
    shape = (len(kinds), model.n_layers, len(ROLES), len(known))
    sums, counts, base = np.zeros(shape), np.zeros(shape), np.zeros(len(known))
    total = sum(model.n_layers * len(kinds) * (end + 1 - first) for first, end in groups.values())
    progress.start("restoring states", total * len(broken))
    for draw in broken:
        for index, (first, end) in groups.items():
            few = rows.at(index)
            ids, edits = draw.at(index, few.batch.ids.shape[1])
            base[list(index)] += _measured(model, few, ids, edits, read)
            for position in range(first, end + 1):
                role = [_role(rows, row, position) for row in index]
                for k, kind in enumerate(kinds):
                    for layer in range(model.n_layers):
                        span = _window(layer, 1 if kind == "resid" else window, model.n_layers)
                        put = [
                            Patch(
                                f"L{each}.{_SITES[kind]}@{position}",
                                states[kind, each][list(index), position],
                            )
                            for each in span
                        ]
                        found = _measured(model, few, ids, [*edits, *put], read)
                        sums[k, layer, role, list(index)] += found
                        counts[k, layer, role, list(index)] += 1
                        progress.advance()
    progress.finish()
    base /= len(broken)
    with np.errstate(invalid="ignore", divide="ignore"):
        restored = sums / counts
    present = [i for i, _ in enumerate(ROLES) if counts[0, 0, i].any()]
    effects = xr.DataArray(
        (restored - base)[:, :, present],
        dims=("kind", "layer", "role", "fact"),
        coords={
            "kind": list(kinds),
            "layer": list(range(model.n_layers)),
            "role": [ROLES[i] for i in present],
        },
    )
    strategy = f"trace_fact({len(known)} facts, {way!r}, window={window}, {measure})"
    return FactTrace(
        facts=known,
        per_fact=effects,
        clean=base_clean,
        corrupt=base,
        measure=measure,
        window=window,
        corruption=repr(way),
        provenance=model.provenance(strategy=strategy, seed=seed),
    )


def _check(kinds: Any, measure: Any) -> None:
    if isinstance(kinds, str) or not kinds or not set(kinds) <= set(KINDS):
        raise OptionError(f"kinds={shown(kinds)}", mend=f"give some of {', '.join(KINDS)}")
    if measure not in MEASURES:
        raise OptionError(f"measure={shown(measure)}", mend=f"use {' or '.join(MEASURES)}")


def _reader(measure: str) -> Any:
    def read(rows: FactRows, logits: Tensor | None) -> np.ndarray:
        assert logits is not None
        value = rows.log_probs(logits).exp() if measure == "prob" else rows.first_logits(logits)
        return value.detach().double().cpu().numpy()

    return read


def _groups(rows: FactRows) -> dict[tuple[int, ...], tuple[int, int]]:
    """Rows whose subject, prompt and answer stand at the same places -> subject's first, end."""
    found: dict[tuple[int, ...], list[int]] = defaultdict(list)
    lengths = rows.batch.lengths
    for row in range(len(rows)):
        places = (rows.first[row], rows.last[row], rows.ends[row], lengths[row])
        found[tuple(int(each) for each in places)].append(row)
    return {tuple(index): (key[0], key[2]) for key, index in found.items()}


def _role(rows: FactRows, row: int, position: int) -> int:
    first, last, end = (int(each[row]) for each in (rows.first, rows.last, rows.ends))
    if position == last:
        name = "subject, last"
    elif position == first:
        name = "subject, first"
    elif position < last:
        name = "subject, middle"
    elif position == end:
        name = "last token"
    else:
        name = "next token" if position == last + 1 else "further"
    return ROLES.index(name)


def _window(layer: int, width: int, layers: int) -> range:
    """As in the published code: as many before as after, one more before where it is even."""
    return range(max(0, layer - width // 2), min(layers, layer - width // 2 + width))


def _measured(
    model: Model, rows: FactRows, ids: Tensor, edits: Sequence[Edit], read: Any
) -> np.ndarray:
    run = model.run(ids, attention_mask=rows.batch.mask, edits=list(edits))
    return read(rows, run.logits)
