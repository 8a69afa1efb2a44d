"""Tasks that fit a model, and their contrast pairs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from residuum.apps.workbench.desk import Desk
from residuum.apps.workbench.routes.asking import TheBench, ask
from residuum.apps.workbench.schemas import Pair, Pairs, PairsRequest, TaskInfo, TaskList
from residuum.core import ResiduumError
from residuum.runs import Model, Task, make_task, task_names
from residuum.worlds import ENGLISH_TASKS

router = APIRouter(prefix="/api", tags=["tasks"])
_TRIED = 2


@router.get("/tasks", operation_id="listTasks")
async def list_tasks(
    bench: TheBench, request: Request, model: Annotated[str, Query(min_length=1, max_length=1000)]
) -> TaskList:
    """Tasks whose words are single tokens of this model."""
    desk = bench.desk(model)
    return await ask(request, desk, lambda loaded: _fitting(desk, loaded))


@router.post("/tasks/pairs", operation_id="makePairs")
async def make_pairs(bench: TheBench, request: Request, body: PairsRequest) -> Pairs:
    """Contrast pairs of a task; the same seed gives the same pairs."""

    def work(model: Model) -> Pairs:
        task = make_task(body.task, model, n=body.n, seed=body.seed)
        rows = [_pair(model, task, row) for row in range(len(task))]
        return Pairs(task=body.task, metric=task.metric, pairs=rows)

    return await ask(request, bench.desk(body.model), work)


def _fitting(desk: Desk, model: Model) -> TaskList:
    if "tasks" not in desk.found:
        found, refused = [], {}
        for name in task_names(model) or ENGLISH_TASKS:  # each says why where there are none
            try:
                task = make_task(name, model, n=_TRIED)
            except ResiduumError as error:
                refused[name] = error.what
            else:
                found.append(TaskInfo(name=name, metric=task.metric))
        desk.found["tasks"] = TaskList(tasks=found, refused=refused)
    return desk.found["tasks"]


def _pair(model: Model, task: Task, row: int) -> Pair:
    length = int(task.lengths[row])
    clean, corrupt = (side[row, :length].tolist() for side in (task.clean, task.corrupt))
    answers, wrong = (
        [each for each in side[row].tolist() if each >= 0] for side in (task.answers, task.wrong)
    )
    return Pair(
        clean=clean,
        corrupt=corrupt,
        clean_tokens=model.to_str_tokens(clean),
        corrupt_tokens=model.to_str_tokens(corrupt),
        answers=answers,
        wrong=wrong,
        answer_tokens=model.to_str_tokens(answers),
        wrong_tokens=model.to_str_tokens(wrong),
        positions={name: int(at[row]) for name, at in task.positions.items()},
    )
