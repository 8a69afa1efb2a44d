"""Fitting a truth monitor, and judging it where it was not fitted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from residuum.core import SILENT, Address, OptionError, Progress, content_hash, track
from residuum.directions.beliefs import Statements, answered
from residuum.directions.monitor_report import MonitorReport
from residuum.directions.monitor_roc import auroc
from residuum.directions.truth_monitor import TruthMonitor
from residuum.runs import Model, need_model, refuse_unknown, shown, whole_number


def monitor(
    model: Model,
    statements: Statements,
    *,
    at: str | Address = "L1.resid_post",
    scale: float = 0.5,
    entity_folds: int = 4,
    seed: int = 0,
    progress: Progress = SILENT,
    **unknown: Any,
) -> MonitorReport:
    """Fit a truth monitor, and judge it on wordings and entities that it was not fitted on.

    Wordings are held out by the part of the group's name before a ``/``. For each wording and each
    fold of entities, a monitor is fitted on the statements that share neither.

    Args:
        model: a loaded model.
        statements: ``microworld_beliefs()``, or ``Statements.from_file(...)``, with truths.
        at: site at which the last token is pushed.
        scale: strength, in typical norms.
        entity_folds: into how many parts the entities are dealt.
        seed: of the dealing and of the bootstrap.
        progress: who is told.

    Returns:
        Scores, AUROC with interval, and the monitor.

    Raises:
        OptionError, TaskError: one wording only; no truths; answers that never, or always, depart.

    Shows, Does not show: as :class:`MonitorReport`.
    Source: own; the push is contrastive activation addition (Rimsky et al. 2023).
    """
    refuse_unknown(unknown, "monitor", "at, scale, entity_folds, seed, progress")
    need_model(model, "monitor")
    if not isinstance(statements, Statements):
        raise OptionError(
            f"monitor needs statements, got {shown(statements)}",
            mend="give rz.Statements.from_file(path), or rz.microworld_beliefs()",
        )
    if not (isinstance(scale, (int, float)) and math.isfinite(scale) and scale > 0):
        raise OptionError(
            f"scale={shown(scale)} is no push", mend="give a number above 0, in typical norms"
        )
    whole_number(entity_folds, "entity_folds", 2)
    whole_number(seed, "seed", 0)
    said = answered(model, statements)
    departs = said.departs.numpy()
    folds = held_out_folds(statements, entity_folds, seed)
    full = TruthMonitor.fit(model, statements, at, scale)
    scores, fold_aurocs = np.zeros(len(statements)), []
    for fit_rows, test_rows in track(folds, progress, "monitor", len(folds)):
        own = TruthMonitor.fit(model, statements.subset(fit_rows), at, scale)
        texts = [statements.texts[row] for row in test_rows]
        scores[test_rows] = own.scores(model, texts, said.ids[test_rows]).numpy()
        if len(set(departs[test_rows].tolist())) == 2:
            fold_aurocs.append(auroc(scores[test_rows], departs[test_rows]))
    auroc(scores, departs)  # refuses answers of one class
    return MonitorReport(
        scores=scores,
        departs=departs,
        groups=statements.groups,
        entities=statements.entities,
        fold_aurocs=tuple(fold_aurocs) or (float("nan"),),
        flagged_right=float(((scores > full.threshold_nats) == departs).mean()),
        monitor=full,
        seed=seed,
        provenance=model.provenance(
            task_hash=content_hash([list(statements.texts), list(statements.truths)]),
            strategy=f"monitor({at}, scale={scale}, entity_folds={entity_folds})",
            seed=seed,
        ),
    )


def held_out_folds(
    statements: Statements, entity_folds: int, seed: int
) -> list[tuple[list[int], list[int]]]:
    """Rows to fit on and rows to judge: no wording, no entity and no text is on both sides.

    Raises:
        OptionError: one wording only, or fewer entities than folds.
    """
    wordings = [group.split("/")[0] for group in statements.groups]
    names = sorted(set(wordings))
    entities = sorted(set(statements.entities))
    if len(names) < 2 or (entities and len(entities) < entity_folds):
        raise OptionError(
            f"{len(names)} wordings and {len(entities)} entities cannot be held out",
            mend="give two wordings at least, and as many entities as folds",
        )
    order = np.random.default_rng(seed).permutation(len(entities))
    fold_of = {entities[index]: rank % entity_folds for rank, index in enumerate(order)}
    folds = [fold_of[each] for each in statements.entities] or [0] * len(statements)
    found = []
    for name in names:
        for fold in sorted(set(folds)):
            pairs = list(enumerate(zip(wordings, folds, strict=True)))
            test = [at for at, (own, part) in pairs if own == name and part == fold]
            alone = not entities  # without entities, the wording alone is held out
            judged = {statements.texts[at] for at in test}
            fit = [
                at
                for at, (own, part) in pairs
                if own != name and (alone or part != fold) and statements.texts[at] not in judged
            ]
            found.append((fit, test))
    return found
