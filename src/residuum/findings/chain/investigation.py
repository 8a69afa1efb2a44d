"""From a behaviour to a claim: search for a mechanism, or examine one that is stated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from residuum.core import SILENT, Progress
from residuum.findings.chain.asking import pairs_for
from residuum.findings.chain.course import Course
from residuum.findings.chain.further import chosen_stages
from residuum.findings.chain.mechanisms import mechanism_of
from residuum.findings.chain.order import Order
from residuum.findings.chain.other_models import different
from residuum.findings.finding import Finding
from residuum.findings.record.budget import budget_named
from residuum.runs import Model, Task


def investigate(
    model: Model,
    task: Task | str,
    budget: str = "quick",
    seed: int = 0,
    out: str | Path | None = None,
    progress: Progress = SILENT,
    *,
    stages: Sequence[str] | None = None,
    also: Sequence[Model] = (),
) -> Finding:
    """Find which parts of the model a behaviour rests on, and say how sure that is.

    The chain: the behaviour against random labels; the logit lens; patching of the stream, of
    every head, and of each layer's attention and MLP; the strongest parts, chosen on one half of
    the pairs, one by one and together on the other half, against random parts; and which
    heads write the answer by their direct path to the logits. Then the further stages. Where the
    behaviour is absent it stops after the lens and says so.

    Args:
        model: a loaded model.
        task: a task, the name of one, or a CSV or JSONL file of pairs.
        budget: ``quick``, ``standard`` or ``thorough``; see :data:`BUDGETS`.
        seed: of the pairs (where ``task`` is a name) and of every random choice.
        out: folder in which finished stages are kept, so that an interrupted investigation goes
            on where it stopped. Nothing else is written; see :meth:`Finding.save`.
        progress: who is told.
        stages: names of the further stages to run; None runs all, ``()`` none.
        also: other models, such as other sizes, that are asked the same.

    Returns:
        The finding, its status decided by the rules in it.

    Raises:
        TaskError: pairs that do not belong to the model, or fewer than 8 of them.
        OptionError: no such budget or stage, a metric that has no direction, or another model with
            the same weights.

    Shows: see :class:`Finding`. Does not show: see there.

    >>> import residuum as rz
    >>> model = rz.load("microworld")
    >>> finding = rz.investigate(model, rz.task("ioi", model, n=8), stages=())
    >>> finding.status in ("supported", "not supported", "undecided")
    True
    """
    spend, further = budget_named(budget), chosen_stages(stages)
    used, n_given = pairs_for(model, task, spend, seed)
    others = different(model, also)
    order = Order(model, used, n_given, spend, seed, None, further, others)
    return Course(order, None if out is None else Path(out), progress).finding()


def examine(
    model: Model,
    task: Task | str,
    mechanism: Any,
    budget: str = "quick",
    seed: int = 0,
    out: str | Path | None = None,
    progress: Progress = SILENT,
    *,
    stages: Sequence[str] | None = None,
    also: Sequence[Model] = (),
) -> Finding:
    """Examine a mechanism that you state, by the same measurements and rules as a found one.

    What is stated is measured on the measuring half: enough, needed, more than chance. That is how
    another task's heads, a paper's claim, or the finding on a smaller model are tested.

    Args:
        model: a loaded model.
        task: as in :func:`investigate`.
        mechanism: addresses of heads ``L2.z[H3]`` and MLPs ``L3.mlp_out``; a :class:`Circuit`; a
            :class:`Direction`; or another finding, whose mechanism is meant.
        budget: as in :func:`investigate`.
        seed: as there.
        out: as there; stages that do not depend on the mechanism are shared between examinations.
        progress: who is told.
        stages: as there; of a circuit or a direction only ``specificity``, ``robustness`` and
            ``controls`` are asked, the others are left out.
        also: as there.

    Returns:
        A finding with ``origin`` ``given``.

    Raises:
        AddressError: a part that the model does not have.
        OptionError, TaskError, LoadError: as in :func:`investigate`; nothing stated, or no
            mechanism; a circuit or direction of another model, or a direction found on these pairs.

    Shows: whether what is stated is enough and needed on these pairs, beyond random parts of its
    size. Does not show: that nothing else would do.

    >>> import residuum as rz
    >>> model = rz.load("microworld")
    >>> rz.examine(model, rz.task("ioi", model, n=8), ["L0.z[H1]"], stages=()).origin
    'given'
    """
    spend, asked = budget_named(budget), chosen_stages(stages)
    used, n_given = pairs_for(model, task, spend, seed)
    stated = mechanism_of(model, mechanism)
    further = tuple(each for each in asked if stated.kind in each.kinds)
    others = different(model, also)
    order = Order(model, used, n_given, spend, seed, stated, further, others)
    return Course(order, None if out is None else Path(out), progress).finding()
