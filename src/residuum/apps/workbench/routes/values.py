"""Tensors for edits, kept in the store."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Request

from residuum.apps.workbench.bench import Bench
from residuum.apps.workbench.routes.asking import TheBench, ask
from residuum.apps.workbench.schemas import (
    NumbersValue,
    RunValue,
    StoredValue,
    TaskValue,
    TensorReference,
    UnembedValue,
    ValueRequest,
)
from residuum.apps.workbench.values import (
    Value,
    from_numbers,
    from_run,
    from_task,
    from_unembedding,
    needed,
)
from residuum.runs import Model

router = APIRouter(prefix="/api", tags=["edits"])


@router.post("/values", operation_id="storeValue")
async def store_value(
    bench: TheBench,
    request: Request,
    body: Annotated[ValueRequest, Body(discriminator="source")],
) -> StoredValue:
    """Make a tensor for an edit and keep it; the reference goes into the edit's ``value``."""
    if isinstance(body, NumbersValue):
        return _store(bench, from_numbers(body.values))

    def work(model: Model) -> StoredValue:
        return _store(bench, _value(bench, model, body))

    name = bench.book.record(body.run)["model"] if isinstance(body, RunValue) else body.model
    return await ask(request, bench.desk(name), work)


def _value(bench: Bench, model: Model, body: RunValue | TaskValue | UnembedValue) -> Value:
    if isinstance(body, RunValue):
        record = bench.book.record(body.run)
        run = bench.book.again(model, record, [needed(body.at)]).run
        return from_run(model, run, body.run, body.at)
    if isinstance(body, TaskValue):
        return from_task(model, body.source, body.task, body.n, body.seed, body.at)
    return from_unembedding(model, body.tokens, body.scale)


def _store(bench: Bench, value: Value) -> StoredValue:
    tensor, note = value
    ref = bench.book.keep(tensor)
    return StoredValue(value=TensorReference(**ref.to_json()), note=note)
