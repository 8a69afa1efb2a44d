"""The verb that writes facts into a model's weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

from torch import Tensor

from residuum.core import SILENT, OptionError, Progress
from residuum.directions.facts.edit import FactEdit
from residuum.directions.facts.fact import Fact, need_facts, rows_of
from residuum.directions.facts.keys import need_texts, second_moments
from residuum.directions.facts.matrices import OutMatrix, out_matrices
from residuum.directions.facts.methods import Job, Memit, Method, Rome
from residuum.directions.facts.tracing import trace_fact
from residuum.runs import Model, need_model, refuse_unknown, shown, whole_number
from residuum.runs.arguments import need_progress

_OPTIONS = "layers, validation, keep, prefixes, phrasings, method, seed, progress"


def edit_facts(
    model: Model,
    requests: Sequence[Fact] | Fact,
    texts: Sequence[str],
    *,
    layers: Sequence[int] | int | None = None,
    validation: Sequence[Fact] = (),
    keep: Sequence[Fact] = (),
    prefixes: Sequence[str] | int = 0,
    phrasings: Sequence[str] = (),
    method: Method | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
    **unknown: Any,
) -> FactEdit:
    """Make the difference of weights with which the model says other answers.

    The model itself is as it was afterwards, bit for bit; ``edit.apply()`` or ``with edit:`` writes
    the difference.

    Args:
        model: a loaded model.
        requests: facts with the answers that the model is to say.
        texts: plain text, for the second moment of the keys: more tokens than the MLP has neurons.
        layers: into whose output matrices to write; None takes the one that a trace of
            ``validation`` points to.
        validation: facts that the model knows, about other subjects, for that trace.
        keep: facts about the requests' subjects whose prediction is to stay; the subject alone is
            always kept. The value is written at the keys of these prompts too, so wordings that
            name the subject behind other words help the edit to reach further.
        prefixes: texts to put before the requests' prompts, so that the key and the value do not
            hang on one context; or how many to cut from the texts. The bare prompt always counts.
        phrasings: more templates for the requests, so that the value does not hang on one wording.
        method: :class:`Rome` (by default for one request) or :class:`Memit` (for several).
        seed: of the choice of prefixes.
        progress: who is told.

    Returns:
        The edit, not applied.

    Raises:
        OptionError: no model, facts or texts; contradicting requests; neither layers nor
            validation; an option out of range.
        SiteRefused: a block without one MLP output matrix that adds straight to the stream.
        CheckFailed: adapters, hooks or quantised weights.
        TokenError: words the model does not know.

    Shows: that a change of these weights makes the model say it. Does not show: that the fact was
    stored there, or that what follows from it changes along.

    Source: Meng et al. 2022, §3.1 (:class:`Rome`); Meng et al. 2023, §4 (:class:`Memit`); their
    deviations are in those classes.

    >>> import residuum as rz
    >>> from itertools import islice
    >>> model = rz.load("microworld")
    >>> texts = list(islice(rz.worlds.microworld_text(seed=1), 200))
    >>> edit = edit_facts(
    ...     model, Fact("The capital of {} is", "France", "Rome"), texts, layers=0
    ... )
    >>> with edit:
    ...     model.generate("The capital of France is", 1).texts
    ('Rome',)
    >>> model.generate("The capital of France is", 1).texts
    ('Paris',)
    """
    refuse_unknown(unknown, "edit_facts", _OPTIONS)
    need_model(model, "edit_facts")
    need_progress(progress)
    whole_number(seed, "seed", 0)
    wanted = need_facts(requests, "requests", once=True)
    _refuse_contradictions(wanted)
    corpus = need_texts(texts)
    held = need_facts(keep, "keep", once=True) if keep else ()
    _refuse_kept_requests(wanted, held)
    way = method if method is not None else (Rome() if len(wanted) == 1 else Memit())
    if not isinstance(way, (Rome, Memit)):
        raise OptionError(f"method={shown(method)}", mend="use Rome() or Memit()")
    chosen = _layers(model, layers, wanted, validation, progress)
    before = _prefixes(prefixes, corpus, seed)
    matrices = out_matrices(model, chosen)
    moments = second_moments(model, chosen, corpus, progress)
    provenance = model.provenance(
        strategy=f"edit_facts({len(wanted)} requests, layers={list(chosen)}, {way!r}, "
        f"{len(before)} prefixes, {len(corpus)} texts)",
        seed=seed,
    )
    return written(
        model,
        wanted,
        held,
        before,
        _phrasings(phrasings),
        matrices,
        moments,
        way,
        provenance,
        progress,
    )


def written(
    model: Model,
    requests: tuple[Fact, ...],
    keep: tuple[Fact, ...],
    prefixes: tuple[str, ...],
    phrasings: tuple[str, ...],
    matrices: tuple[OutMatrix, ...],
    moments: dict[int, Tensor],
    method: Method,
    provenance: Any,
    progress: Progress,
) -> FactEdit:
    """The edit, found on the model itself, which is put back whatever happens."""
    with model.adapted.lock:
        originals = {each.layer: each.parameter.detach().clone() for each in matrices}
        job = Job(
            model, requests, keep, prefixes, phrasings, matrices, originals, moments, progress
        )
        try:
            found = method.write(job)
        finally:
            for matrix in matrices:
                matrix.put(originals[matrix.layer])
    edit = FactEdit(
        requests=requests,
        keep=keep,
        prefixes=prefixes,
        phrasings=phrasings,
        factors=found.factors,
        probs=tuple(found.probs.tolist()),
        kl_bits=tuple(found.kl_bits.tolist()),
        provenance=provenance,
    )
    return _measured(model, edit.bound_to(model))


def _measured(model: Model, edit: FactEdit) -> FactEdit:
    """The same, with what the model says of the requests while the edit is in its weights."""
    with edit:
        rows = rows_of(model, edit.requests)
        logits = model.run(rows.batch.ids, attention_mask=rows.batch.mask).logits
        assert logits is not None
        reached = tuple(rows.log_probs(logits).exp().tolist())
        holds = tuple(rows.says(logits).tolist())
    return replace(edit, reached=reached, holds=holds).bound_to(model)


def _refuse_contradictions(requests: Sequence[Fact]) -> None:
    told: dict[str, str] = {}
    for fact in requests:
        if fact.prompt in told:
            raise OptionError(
                f"two requests for {fact.prompt!r}: {told[fact.prompt]!r} and {fact.answer!r}",
                mend="give one answer for each prompt",
            )
        told[fact.prompt] = fact.answer


def _refuse_kept_requests(requests: Sequence[Fact], keep: Sequence[Fact]) -> None:
    subjects, prompts = {each.subject for each in requests}, {each.prompt for each in requests}
    for fact in keep:
        if fact.prompt in prompts:
            raise OptionError(
                f"{fact.prompt!r} is to change and to stay", mend="leave it out of keep"
            )
        if fact.subject not in subjects:
            raise OptionError(
                f"{fact.subject!r} in keep is no request's subject",
                mend="keep holds facts about the requests' own subjects; others are kept by C",
            )


def _layers(
    model: Model, layers: Any, requests: Sequence[Fact], validation: Any, progress: Progress
) -> tuple[int, ...]:
    if layers is None:
        if not validation:
            raise OptionError(
                "edit_facts needs layers, or facts to find them by",
                mend="give layers=[...], or validation=facts that the model knows",
            )
        known = need_facts(validation, "validation", once=True)
        same = {each.subject for each in requests} & {each.subject for each in known}
        if same:
            raise OptionError(
                f"{sorted(same)[0]!r} is in requests and in validation",
                mend="choose the layer on facts about other subjects",
            )
        return (trace_fact(model, known, kinds=("mlp",), progress=progress).layer,)
    if isinstance(layers, str):
        raise OptionError(
            f"layers={shown(layers)} is text, not a number", mend="give layers=1, or a list: [0, 1]"
        )
    found = (layers,) if type(layers) is int else tuple(layers) if _listed(layers) else ()
    if not found or not all(type(each) is int for each in found) or len(set(found)) < len(found):
        raise OptionError(f"layers={shown(layers)}", mend="give a layer, or a list of them")
    return tuple(sorted(found))


def _listed(value: Any) -> bool:
    return isinstance(value, (list, tuple, range))


def _prefixes(prefixes: Any, texts: Sequence[str], seed: int) -> tuple[str, ...]:
    """The empty prefix, then those given, or the beginnings of some texts."""
    if _listed(prefixes) and all(isinstance(each, str) for each in prefixes):
        return ("", *(each for each in prefixes if each.strip()))
    wanted = whole_number(prefixes, "prefixes", 0)
    if wanted > len(texts):
        raise OptionError(f"{wanted} prefixes from {len(texts)} texts", mend="ask for fewer")
    return ("", *Random(f"{seed}/prefixes").sample(list(texts), wanted))


def _phrasings(phrasings: Any) -> tuple[str, ...]:
    """The templates, checked as those of facts are."""
    if not _listed(phrasings):
        raise OptionError(f"phrasings={shown(phrasings)}", mend="give a list of templates")
    facts = [Fact(template, "it", "it") for template in phrasings]
    return (
        tuple(each.template for each in need_facts(facts, "phrasings", once=True)) if facts else ()
    )
