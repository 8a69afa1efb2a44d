"""Worked examples, one click away."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from residuum.apps.workbench.examples import examples_for
from residuum.apps.workbench.routes.asking import TheBench, ask
from residuum.apps.workbench.schemas import Examples

router = APIRouter(prefix="/api", tags=["examples"])


@router.get("/examples", operation_id="listExamples")
async def list_examples(
    bench: TheBench, request: Request, model: Annotated[str, Query(min_length=1, max_length=1000)]
) -> Examples:
    """Examples that fit a model: what to open, and what to look at."""
    desk = bench.desk(model)
    return await ask(request, desk, lambda loaded: Examples(examples=examples_for(loaded)))
