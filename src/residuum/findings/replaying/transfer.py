"""Transfer: a finding about one model tried on another, as a finding of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from residuum.circuits import EAPIG, discover
from residuum.core import SILENT, OptionError, Progress
from residuum.directions import direction
from residuum.findings.chain.asking import pairs_for
from residuum.findings.chain.halves import halves
from residuum.findings.chain.investigation import examine, investigate
from residuum.findings.finding import Finding
from residuum.findings.record.budget import budget_named
from residuum.findings.record.rules import present
from residuum.findings.record.ruling import check_ruling
from residuum.findings.record.transfer_evidence import OriginClaim, TransferEvidence
from residuum.findings.record.transfer_rules import (
    origin_words,
    transfer_rules,
    transfer_words,
    verdict,
)
from residuum.findings.record.words import model_name
from residuum.findings.replaying.carrying import carried
from residuum.findings.replaying.portrait import kinds_anywhere, origin_of, portrait
from residuum.runs import Model, Task, need_model


def transfer(
    finding: Finding | str | Path,
    model: Model,
    *,
    same_components: bool = False,
    task: Task | str | None = None,
    budget: str | None = None,
    seed: int | None = None,
    stages: Sequence[str] | None = None,
    out: str | Path | None = None,
    progress: Progress = SILENT,
) -> Finding:
    """Try a finding about one model on another, by the same measurements and rules.

    The pairs are made for the other model (the same pairs where the tokenizer is the same, the
    task of the same name, the same pairs as text, or, for ids without words, the same pattern of
    repeats). By default the mechanism is searched for anew there: heads and MLPs by
    :func:`investigate`; a circuit of the same share of edges, or a direction at the same site, on
    the choosing half. The claim **holds** if what is found is supported there and, for heads and
    MLPs, every kind of part that carries a fifth or more of it in the origin (confirmed
    ``previous-token`` heads, ``induction`` heads, MLPs) carries as much there, and the strongest
    path between two kinds feeds there too; addresses may differ. It **does not hold** if one of
    these fails, and **cannot be said** to do either where one is unclear. Where the finding there
    is undecided, a kind that no part of the other model is of, or attends like, still refutes.
    The rules are in ``finding.transfer`` and among ``finding.rules``.

    Args:
        finding: a supported finding, or the path of one.
        model: the other model.
        same_components: examine exactly the components, circuit or direction that it names.
        task: the pairs for the other model, instead of those made from the finding's.
        budget: ``quick``, ``standard`` or ``thorough``; None takes the finding's.
        seed: None takes the finding's.
        stages: further stages; None takes the finding's.
        out: folder in which finished stages are kept, as in :func:`investigate`.
        progress: who is told.

    Returns:
        A finding about the other model that names the first by its hash. Its status is about the
        other model; whether the claim holds there is ``finding.transfer.verdict``.

    Raises:
        OptionError: a finding that is not supported: there is no claim to try; or a model with the
            finding's own weights.
        TaskError: pairs that cannot be made for the other model.
        AddressError: ``same_components`` that the other model does not have.
        LoadError, StoreError, CheckFailed: a file that cannot be read or was changed, or a finding
            that says what does not follow from its evidence.

    Shows: whether the same claim is borne out on the other model. Does not show: that the two
    mechanisms are one and the same beyond the kinds of their parts.

    >>> import residuum as rz
    >>> model = rz.load("microworld")
    >>> first = rz.investigate(model, "ioi", stages=())
    >>> there = rz.transfer(first, rz.load("microworld-trigger"), same_components=True)
    >>> there.transfer.origin.hash == first.hash
    True
    """
    need_model(model, "transfer")
    first = Finding.load(finding) if isinstance(finding, (str, Path)) else finding
    _need_claim(first)
    _need_other(first, model)
    check_ruling(first)
    spend = budget_named(first.budget.name if budget is None else budget)
    drawn = (first.provenance.seed or 0) if seed is None else seed
    pairs = carried(first, model, spend, task)
    options: dict[str, Any] = {
        "stages": first.stages if stages is None else stages,
        "out": out,
        "progress": progress,
    }
    asked = (model, pairs.task, spend.name, drawn)
    if first.kind == "components" and not same_components:
        there = investigate(*asked, **options)
    else:
        stated: Any = first if same_components else _anew(first, *asked[:2], spend, drawn)
        there = examine(model, pairs.task, stated, *asked[2:], **options)
    return with_transfer(there, model, pairs.task, origin_of(first), same_components, pairs.how)


def with_transfer(
    there: Finding,
    model: Model,
    task: Task,
    origin: OriginClaim,
    same_components: bool,
    pairs: str,
) -> Finding:
    """A finding on the other model, with what it says of the first.

    Args:
        there: the finding on the other model.
        model: that model.
        task: the pairs that it was asked for.
        origin: what was tried.
        same_components: whether its own parts were examined.
        pairs: how the pairs were made.
    """
    told = TransferEvidence(
        origin=origin,
        same_components=same_components,
        pairs=pairs,
        status=there.status,
        present=present(there.rules),
        here=portrait(there),
        verdict="cannot be said",
        anywhere=None,
    )
    if there.status == "undecided" and there.kind == "components" and not same_components:
        spend, seed = budget_named(there.budget.name), there.provenance.seed or 0
        told = replace(told, anywhere=kinds_anywhere(model, task, spend, seed))
    rules = transfer_rules(told)
    told = replace(told, verdict=verdict(rules))
    sentence = transfer_words(told, there.provenance.model_id)
    return replace(
        there,
        claim=f"{there.claim} Transfer: {sentence[0].lower()}{sentence[1:]}",
        scope=(*there.scope, f"Tried here: {origin_words(origin)}; {pairs}."),
        rules=(*there.rules, *rules),
        transfer=told,
    )


def _need_claim(finding: Finding) -> None:
    if finding.status != "supported":
        name = model_name(finding.provenance.model_id)
        raise OptionError(
            f"this finding on {name} is {finding.status}: it claims nothing to try elsewhere",
            mend="transfer a supported finding, or investigate the other model by itself",
        )


def _need_other(finding: Finding, model: Model) -> None:
    if model.provenance().weight_hash == finding.provenance.weight_hash:
        raise OptionError(
            f"{model_name(model.name)} has the very weights that this finding is about",
            mend="transfer to other weights; to run it again on these, use rz.replay",
        )


def _anew(finding: Finding, model: Model, task: Task, spend: Any, seed: int) -> Any:
    """A circuit of the same share of edges, or a direction at the same site, on the choosing
    half of the pairs."""
    assert finding.whole is not None
    used, _ = pairs_for(model, task, spend, seed)
    choose, _ = halves(used)
    if finding.kind == "direction":
        return direction(model, choose, at=finding.components[0], prove=False, seed=seed)
    return discover(model, choose, method=EAPIG(), share=finding.whole.size / finding.whole.total)
