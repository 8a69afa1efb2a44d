"""A finding's mechanism by the kinds of its parts, so that it can be compared across models."""

from __future__ import annotations

from itertools import product

from residuum.findings.chain.asking import pairs_for
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.composition_readings import head_readings
from residuum.findings.chain.halves import halves
from residuum.findings.finding import Finding
from residuum.findings.record.budget import Budget
from residuum.findings.record.composition_evidence import CompositionEvidence
from residuum.findings.record.mechanism import is_mlp
from residuum.findings.record.path_evidence import PathEvidence
from residuum.findings.record.transfer_evidence import (
    RESTING,
    Feed,
    KindShare,
    OriginClaim,
    Portrait,
    Seen,
)
from residuum.runs import Model, Task

MLP = "MLP"
_ORDER: dict[Seen, int] = {"not shown": 0, "may feed": 1, "feeds": 2}


def origin_of(finding: Finding) -> OriginClaim:
    """What is to be tried elsewhere."""
    return OriginClaim(
        hash=finding.hash,
        claim=finding.claim_built or finding.claim,
        status=finding.status,
        model=finding.provenance.model_id,
        weights=finding.provenance.weight_hash,
        task=finding.task["name"],
        task_hash=finding.provenance.task_hash,
        kind=finding.kind,
        components=finding.components,
        portrait=portrait(finding),
    )


def portrait(finding: Finding) -> Portrait:
    """Kinds of the named parts by what they recover, and the paths between them by kind.

    Args:
        finding: about heads and MLPs; without a composition stage only MLPs have a kind.
    """
    if finding.parts is None:
        return Portrait(False, (), ())
    effects = {each.at: max(0.0, each.recovered.value) for each in finding.parts.named}
    whole = sum(effects.values())
    sure, seen = {}, {}
    for at, effect in effects.items():
        part = effect / whole if whole else 0.0
        confirmed, attending = _kinds(finding.composition, at)
        for names, shares in ((confirmed, sure), (attending | confirmed, seen)):
            for name in names:
                shares[name] = shares.get(name, 0.0) + part
    kinds = [KindShare(name, sure.get(name, 0.0), seen[name]) for name in seen]
    kinds.sort(key=lambda each: (-each.confirmed, -each.attending, each.name))
    return Portrait(finding.composition is not None, tuple(kinds), _feeds(finding.composition))


def kinds_anywhere(model: Model, task: Task, spend: Budget, seed: int) -> tuple[str, ...] | None:
    """Kinds that some head of a model is of or attends like, and MLPs; None where heads cannot be
    read.

    Args:
        model: all of its heads are read.
        task: the pairs of the finding; read on its measuring half, as a composition stage does.
        spend: how many prompts.
        seed: of the draws.
    """
    used, _ = pairs_for(model, task, spend, seed)
    bench, left_out = Bench(model, halves(used)[1], seed), []
    heads = [
        f"L{layer}.z[H{head}]" for layer in range(model.n_layers) for head in range(model.n_heads)
    ]
    readings = head_readings(bench, heads, (), None, spend, left_out)
    if left_out:
        return None
    kinds = {kind.name for each in readings for kind in each.kinds} - set(RESTING)
    if any(site.name == "mlp_out" for site in model.sites):
        kinds.add(MLP)
    return tuple(sorted(kinds))


def _kinds(evidence: CompositionEvidence | None, at: str) -> tuple[set[str], set[str]]:
    """Confirmed kinds of a part, and kinds that it only attends like."""
    if is_mlp(at):
        return {MLP}, set()
    heads = () if evidence is None else evidence.heads
    found = [kind for head in heads if head.at == at for kind in head.kinds]
    known = [kind for kind in found if kind.name not in RESTING]
    sure = {kind.name for kind in known if kind.status == "confirmed"}
    return sure, {kind.name for kind in known} - sure


def _feeds(evidence: CompositionEvidence | None) -> tuple[Feed, ...]:
    """The best path for each kind of sender, input, and kind of receiver."""
    best: dict[tuple[str, str, str], Feed] = {}
    if evidence is None:
        return ()
    for path in evidence.between:
        if not evidence.inside(path):
            continue
        senders, receivers = (_kinds(evidence, at)[0] for at in (path.sender, path.receiver))
        for one, other in product(sorted(senders), sorted(receivers)):
            feed, key = _feed(one, path, other), (one, path.reads, other)
            if key not in best or _rank(feed) > _rank(best[key]):
                best[key] = feed
    return tuple(sorted(best.values(), key=lambda feed: -feed.strongest))


def _feed(sender: str, path: PathEvidence, receiver: str) -> Feed:
    seen: Seen = path.feeds
    if seen == "feeds" and path.beyond_controls is False:
        seen = "may feed"
    strongest = max(path.restores.value, path.loses.value)
    return Feed(sender, path.reads, receiver, seen, strongest)


def _rank(feed: Feed) -> tuple[int, float]:
    return _ORDER[feed.seen], feed.strongest
