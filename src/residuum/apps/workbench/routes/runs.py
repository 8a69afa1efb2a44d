"""Runs: making one, and the history."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from torch import Tensor

from residuum.apps.workbench.bench import Bench
from residuum.apps.workbench.book import Made, now
from residuum.apps.workbench.routes.asking import TheBench, ask
from residuum.apps.workbench.schemas import RunRecord, RunRequest, Runs
from residuum.apps.workbench.sizes import LISTED_RUNS
from residuum.apps.workbench.views import all_views
from residuum.core import OptionError
from residuum.runs import Model, Run

router = APIRouter(prefix="/api", tags=["runs"])
_TOLD = 10


@router.post("/runs", operation_id="makeRun")
async def make_run(bench: TheBench, request: Request, body: RunRequest) -> RunRecord:
    """Run a prompt with edits; what the named views need is captured in the same pass."""
    if (body.text is None) == (body.ids is None):
        raise OptionError("a run takes either text or ids", mend="give one of them")
    views = [_view(name) for name in body.views]

    def work(model: Model) -> dict[str, Any]:
        ids = body.ids or model.to_tokens(body.text or "", body.prepend_bos)[0].tolist()
        edits = bench.book.edits(body.edits)
        needs = [query for view in views for query in view.needs(model, view.Params())]
        made = bench.book.make(model, ids, edits, needs)
        record = bench.book.write(_record(model, body.model, made))
        if body.top_k <= len(record["predictions"]):
            return record | {"predictions": record["predictions"][: body.top_k]}
        return record | {"predictions": predictions(model, made.run, body.top_k)}

    return RunRecord(**await ask(request, bench.desk(body.model), work))


@router.get("/runs", operation_id="listRuns")
def list_runs(bench: TheBench, limit: Annotated[int, Query(ge=1, le=LISTED_RUNS)] = 200) -> Runs:
    """The history, newest first."""
    return Runs(runs=[RunRecord(**each) for each in bench.book.records(limit)])


@router.get("/runs/{run}", operation_id="readRun")
def read_run(bench: TheBench, run: Annotated[str, Path(max_length=64)]) -> RunRecord:
    """One run of the history."""
    return RunRecord(**bench.book.record(run))


def _view(name: str) -> Any:
    views = all_views()
    if name not in views:
        raise OptionError(f"no view {name!r}", mend=f"one of: {', '.join(views)}")
    return views[name]


def _record(model: Model, name: str, made: Made) -> dict[str, Any]:
    run = made.run
    ids = run.ids[0].tolist()
    return {
        "id": made.id,
        "hash": run.hash,
        "model": name,
        "weights": model.adapted.weight_hash,
        "ids": ids,
        "tokens": model.to_str_tokens(ids),
        "edits": [edit.to_json() for edit in run.edits],
        "fired": [run.fired[edit] for edit in run.edits],
        "predictions": predictions(model, run, _TOLD),
        "seed": None,
        "dtype": run.provenance.dtype,
        "created": now(),
        "took_ms": made.took_ms,
        "passes": made.passes,
    }


def predictions(model: Model, run: Run, top: int) -> list[dict[str, Any]]:
    """The most likely next tokens after the last one."""
    logits: Tensor = run.last[0].double()
    probs = logits.softmax(-1)
    chosen = logits.topk(min(top, len(logits))).indices.tolist()
    tokens = model.to_str_tokens(chosen)
    return [
        {
            "pos": run.ids.shape[1] - 1,
            "id": index,
            "token": token,
            "prob": float(probs[index]),
            "logit": float(logits[index]),
        }
        for index, token in zip(chosen, tokens, strict=True)
    ]


def two_runs(
    bench: Bench, run: str, minus: str | None
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The records of a run and of the one to subtract.

    Raises:
        NotFound: no such run.
        OptionError: they cannot be compared cell by cell.
    """
    first = bench.book.record(run)
    if minus is None:
        return first, None
    second = bench.book.record(minus)
    if first["model"] != second["model"]:
        raise OptionError(
            f"run {run} is of {first['model']}, run {minus} of {second['model']}",
            mend="compare runs of one model",
        )
    if len(first["ids"]) != len(second["ids"]):
        raise OptionError(
            f"run {run} has {len(first['ids'])} tokens, run {minus} {len(second['ids'])}",
            mend="compare prompts of one length",
        )
    return first, second
