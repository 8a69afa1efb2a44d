"""How the named parts work together: what each is, and which feeds which, through q, k or v."""

from __future__ import annotations

from collections.abc import Sequence

from residuum.core import SILENT, Address, Progress
from residuum.findings.chain.bench import Bench
from residuum.findings.chain.composition_readings import TokenWeights, composed, head_readings
from residuum.findings.chain.part_paths import measure_paths
from residuum.findings.record.budget import Budget
from residuum.findings.record.composition_evidence import CompositionEvidence


def composition(
    bench: Bench,
    named: Sequence[str],
    spend: Budget,
    progress: Progress = SILENT,
    *,
    writers: Sequence[str] = (),
) -> CompositionEvidence:
    """What the named parts are, and which of them feeds which.

    Path patching from the tokens, every named part and every writer to the inputs of each later
    one and to the logits, both ways (clean into corrupt and back) with MLPs between the ends
    passing the change on; into each input that something reaches, also with MLPs held, and from
    other heads drawn at random. Kinds of heads by attention on random repeats and on the task;
    copying and matching, and composition scores, from the weights.

    Args:
        bench: the measuring half.
        named: addresses of the parts that the claim names, ``L2.z[H3]`` or ``L2.mlp_out``.
        spend: how many other heads are tried (``random_sets``), and prompts for the kinds (``n``).
        progress: told of every forward pass.
        writers: further heads, which write the answer.

    Cost: two tables of (1 + parts) senders by (3 parts + 1) inputs over the measuring half, one
    more of the inputs that something reaches, and two of ``random_sets`` senders by those that a
    part reaches; each cell recomputes only what lies behind its input.

    Shows: which named part reads what another writes, and that the answer follows. Does not show:
    feeding through heads that are not named, or what both prompts share.
    """
    parts = _in_order((*named, *(at for at in writers if at not in named)))
    left_out: list[str] = []
    heads = [at for at in parts if ".z[" in at]
    weights = TokenWeights.of(bench, left_out)
    readings = head_readings(bench, heads, named, weights, spend, left_out, progress)
    measured = measure_paths(bench, parts, spend, left_out, progress)
    return CompositionEvidence(
        heads=readings,
        paths=() if measured is None else measured.paths,
        scores=composed(bench, heads, weights, spend, left_out),
        through_mlps=measured is not None and measured.through_mlps,
        controls=() if measured is None else measured.controls,
        sure="" if measured is None else measured.sure,
        floor=float("nan") if measured is None else measured.floor,
        left_out=tuple(left_out),
    )


def _in_order(parts: Sequence[str]) -> tuple[str, ...]:
    """By place in the forward pass: layer, heads before the MLP, number."""

    def place(at: str) -> tuple[int, bool, int]:
        address = Address.parse(at)
        head = address.part if isinstance(address.part, int) else 0
        return int(address.layer), address.name == "mlp_out", head  # type: ignore[arg-type]

    return tuple(sorted(dict.fromkeys(parts), key=place))
