"""Checking edits before they are run."""

from __future__ import annotations

from typing import Any

import torch
from fastapi import APIRouter, Request

from residuum.apps.workbench.bench import Bench
from residuum.apps.workbench.failures import body_of
from residuum.apps.workbench.routes.asking import TheBench, ask
from residuum.apps.workbench.schemas import CheckRequest, EditVerdict, EditVerdicts, Failure
from residuum.core import ResiduumError
from residuum.runs import Model

router = APIRouter(prefix="/api", tags=["edits"])


@router.post("/edits/check", operation_id="checkEdits")
async def check_edits(bench: TheBench, request: Request, body: CheckRequest) -> EditVerdicts:
    """Whether each edit can be applied to this prompt, alone; each is tried up to its site."""

    def work(model: Model) -> EditVerdicts:
        model.adapted.tokens.batch([body.ids])
        return EditVerdicts(edits=[_verdict(bench, model, body.ids, row) for row in body.edits])

    return await ask(request, bench.desk(body.model), work)


def _verdict(bench: Bench, model: Model, ids: list[int], row: dict[str, Any]) -> EditVerdict:
    try:
        (edit,) = bench.book.edits([row])
        model.run(torch.tensor([ids]), edits=[edit], logits=False)
    except ResiduumError as error:
        return EditVerdict(ok=False, failure=Failure(**body_of(error)))
    return EditVerdict(ok=True)
