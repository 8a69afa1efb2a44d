"""The verb: name the parts of a circuit by what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.graph.fitting import partial_graph
from residuum.circuits.graph.positions import end_of
from residuum.circuits.judging.distinct_pairs import distinct_pairs
from residuum.circuits.judging.held_out import held_out_of
from residuum.circuits.roles.attention import attention_of
from residuum.circuits.roles.effects import (
    Measuring,
    by_position,
    chosen_edges,
    into_and_out_of,
    work_positions,
)
from residuum.circuits.roles.part_role import PartRole
from residuum.circuits.roles.roles import Roles
from residuum.circuits.roles.rules import Seen, name_head, name_inhibiting, name_mlp, settle, short
from residuum.core import SILENT, Address, OptionError, Progress
from residuum.heads import HeadTable, detect_heads
from residuum.heads.head_types import above
from residuum.runs import (
    Model,
    Task,
    memory_in_bytes,
    metric_named,
    need_model,
    need_task,
    refuse_unknown,
    shown,
    whole_number,
)
from residuum.runs.arguments import need_progress

_DETECTORS = ("previous_token", "duplicate_token", "induction", "first_token", "copying")
_OPTIONS = "heads, least_attention, least_effect, most, seed, max_memory, progress"


def name_roles(
    circuit: Circuit,
    model: Model,
    task: Task,
    *,
    heads: HeadTable | None = None,
    least_attention: float = 0.2,
    least_effect: float = 0.01,
    most: int = 400,
    seed: int = 0,
    max_memory: Any = None,
    progress: Progress = SILENT,
    **unknown: Any,
) -> Roles:
    """Name what the parts of a circuit do, from where they look and what their edges change.

    Every edge of the circuit is measured exactly (what is lost when it alone carries its reference
    value), and each part's strongest edge at each position of the task. A head is named for what it
    looks at from the positions where that edge has its effect, and only if an edge out of it
    counts: told from zero (joint sign flips over all measured edges), not below ``least_effect``.

    Args:
        circuit: of this model.
        model: a loaded model.
        task: contrast pairs; better others than the circuit was found on.
        heads: from ``rz.detect_heads(model)``; by default it is run on 24 random repeats.
        least_attention: share of attention beyond uniform (on random repeats: beyond their null)
            that a name needs, 0 to 1.
        least_effect: share of the circuit's largest edge that an edge needs to count, 0 to 1.
        most: so many edges are measured at most, the largest by score.
        seed: of intervals, sign flips and random repeats.
        max_memory: bytes beyond the model, or a text such as ``"2 GB"``.
        progress: who is told.

    Returns:
        A :class:`Roles` with every part's names, the evidence for them, and what was not enough:
        previous-token, duplicate-token, induction, first-token (looks there, on random repeats
        too, so that it goes by the tokens alone); name mover (from the
        last token looks at the answer, and its edge into the logits is positive); moves through MLP
        (the same by way of an MLP that writes to the logits); S-inhibition-like (looks at a wrong
        answer's later occurrence, and reaches the query of a head that moves names, directly or
        through MLPs); copying (its OV circuit raises what it reads, and its edge into the logits is
        positive); negative (its edge into the logits is negative); MLP to logits, MLP relay, MLP on
        tokens; unknown.

    Raises:
        OptionError: no circuit or an empty one, an option out of range, a table of another model.
        LoadError: a circuit of another model.
        TaskError: no task, or one without the positions of the circuit's graph.

    Shows, does not show: see :class:`Roles`.
    Source: Wang et al. 2022, "Interpretability in the Wild", §3 (the classes of heads and the
    evidence for them); Olsson et al. 2022, "In-context Learning and Induction Heads". Deviations:
    positions are those of the measured effect, and every name needs an edge of the circuit.

    >>> import residuum as rz
    >>> from residuum.circuits import circuit_from_edges, graph_of, name_roles
    >>> model = rz.load("handmade_induction")
    >>> last = range(1, 9)
    >>> clean, corrupt = ([[0, *ids, each, 9] for each in last] for ids in ((9, 10), (10, 9)))
    >>> task = rz.Task.from_pairs(clean=clean, corrupt=corrupt, answers=[10] * 8, wrong=list(last))
    >>> edges = ["L0.head_out[H2] -> L1.k_in[H1]", "L1.head_out[H1] -> logits"]
    >>> name_roles(circuit_from_edges(graph_of(model), edges), model, task)["L1H1"].names
    ('induction',)
    """
    refuse_unknown(unknown, "name_roles", _OPTIONS)
    need_model(model, "name_roles")
    need_task(task, "name_roles")
    need_progress(progress)
    _check(circuit, model, heads, least_attention, least_effect)
    task.check_fits(model)
    given, pairs = task, distinct_pairs(task)
    task = pairs.task
    metric = metric_named(task.metric if circuit.scores is None else circuit.scores.metric)
    measuring = Measuring(
        model, task, metric, circuit.reference, whole_number(most, "most", 1), float(least_effect),
        whole_number(seed, "seed", 0), memory_in_bytes(max_memory), progress,
    )  # fmt: skip
    edges, partly = chosen_edges(circuit, most)
    positions, unnamed = work_positions(circuit, task)
    effects, spent = measuring.measured(circuit.graph, edges)
    parts = [str(each) for each in circuit.nodes if each.name not in ("embed", "logits")]
    ends = {part: into_and_out_of(effects, part) for part in parts}
    strongest = [out[0] for out, _ in ends.values() if out and out[0].counts]
    placed, more = by_position(measuring, circuit, strongest, positions)
    looking = [each for each in circuit.nodes if each.name == "head_out"]
    attention = attention_of(model, task, looking, positions, float(least_attention), seed)
    table = heads
    if table is None and looking:
        table = detect_heads(model, n=24, removal=None, seed=seed, progress=progress)
    end = positions[end_of(task, positions)]
    seen = {
        part: Seen(
            part, *ends[part], placed.get(part, ()), attention.get(Address.parse(part), ()),
            *_detectors(table, part, float(least_attention)), end,
        )
        for part in parts
    }  # fmt: skip
    named = _named(seen)
    return Roles(
        parts=named,
        effects=effects,
        reference=circuit.reference,
        task=task.name,
        metric=metric.name,
        unit=metric.unit,
        n_pairs=len(task),
        positions=positions,
        n_edges=circuit.n_edges,
        measured=len(edges),
        least_attention=float(least_attention),
        least_effect=float(least_effect),
        passes=spent + more,
        circuit_hash=circuit.hash,
        warnings=tuple(
            each
            for each in (
                *partial_graph(circuit.graph),
                partly,
                unnamed,
                _same(circuit, given),
                *pairs.warnings,
            )
            if each
        ),
        provenance=model.provenance(
            task_hash=given.task_hash,
            strategy=f"name_roles(least_attention={least_attention:g}, "
            f"least_effect={least_effect:g}, most={most}; circuit {circuit.hash[:12]})",
            seed=seed,
        ),
    )


def _named(seen: Mapping[str, Seen]) -> tuple[PartRole, ...]:
    heads = {part: each for part, each in seen.items() if each.is_head}
    mlps = _leading_to_logits(seen)
    for part, each in seen.items():
        if part in heads:
            name_head(each, mlps)
        else:
            name_mlp(each)
    for each in heads.values():
        name_inhibiting(each, heads, _queries(seen, each))
    return tuple(
        PartRole(
            part, settle(each), each.works_at, each.logits, each.feeds, each.fed_by,
            each.by_position, _worth(each), each.detectors, tuple(each.evidence),
            tuple(each.against),
        )
        for part, each in seen.items()
    )  # fmt: skip


def _worth(seen: Seen) -> tuple[Any, ...]:
    """Attention from where the head works; all that holds where that is not known."""
    if seen.works_at:
        return tuple(each for each in seen.attention if each.from_ in seen.works_at)
    return tuple(each for each in seen.attention if each.holds)


def _leading_to_logits(seen: Mapping[str, Seen]) -> list[str]:
    """Inputs of MLPs from which counted positive edges lead to the logits, through MLPs alone."""
    found: set[str] = set()
    for part in reversed(list(seen)):
        each = seen[part]
        if each.is_head:
            continue
        if any(
            e.value > 0 and (e.receiver == "logits" or e.receiver in found) for e in each.counted
        ):
            found |= {e.receiver for e in each.fed_by}
    return sorted(found)


def _queries(seen: Mapping[str, Seen], start: Seen) -> dict[str, str]:
    """Heads whose query a part reaches by counted edges, directly or through MLPs -> the way."""
    found: dict[str, str] = {}
    waiting: list[tuple[Seen, str]] = [(start, "")]
    visited = {start.at}
    while waiting:
        part, way = waiting.pop(0)
        for effect in part.counted:
            for reader in effect.readers:
                if effect.slot == "q":
                    found.setdefault(
                        reader, f", through {way}" if way else f", {effect.value:+.3g}"
                    )
                elif effect.slot == "mlp" and reader in seen and reader not in visited:
                    visited.add(reader)
                    waiting.append(
                        (seen[reader], f"{way} and {short(reader)}" if way else short(reader))
                    )
    return found


def _detectors(
    table: HeadTable | None, part: str, least: float
) -> tuple[dict[str, float], frozenset[str]]:
    """A head's scores on random repeats with their nulls, and which lie above these."""
    address = Address.parse(part)
    if table is None or address.name != "head_out":
        return {}, frozenset()
    assert isinstance(address.layer, int) and isinstance(address.part, int)
    at = address.layer, address.part
    scores = {name: float(table.scores[name].values[at]) for name in _DETECTORS}
    nulls = {f"{name} null": float(table.scores[name].null_high[at]) for name in _DETECTORS}
    sure = frozenset(name for name in _DETECTORS if bool(above(table.scores[name], least)[at]))
    return {**scores, **nulls, "ov_copying": float(table.ov_copying[at])}, sure


def _same(circuit: Circuit, task: Task) -> str:
    known = held_out_of(circuit, task)
    return f"{known.why}: effects are flattered" if known.holds is False else ""


def _check(circuit: Any, model: Model, heads: Any, least_attention: Any, least_effect: Any) -> None:
    if not isinstance(circuit, Circuit):
        raise OptionError(
            f"name_roles needs a circuit, got {shown(circuit)}",
            mend="give one: circuit = rz.discover(model, task), or rz.load_circuit(file)",
        )
    circuit.need_edges()
    circuit.check_fits(model)
    if heads is not None and not isinstance(heads, HeadTable):
        raise OptionError(
            f"heads={shown(heads)} is no table of heads", mend="give rz.detect_heads(model)"
        )
    if heads is not None and heads.provenance.weight_hash != model.adapted.weight_hash:
        raise OptionError(
            f"the table of heads is of {heads.provenance.model_id}, the model is {model.name}",
            mend="give rz.detect_heads(model) of this model, or leave heads= out",
        )
    for name, value in (("least_attention", least_attention), ("least_effect", least_effect)):
        real = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not real or not 0 < value < 1:
            raise OptionError(f"{name}={shown(value)}", mend="give a number between 0 and 1")
