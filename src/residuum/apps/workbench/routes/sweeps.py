"""Sweeps: patching and ablation over a grid, as jobs whose cells come in as they are computed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, StrictInt

from residuum.apps.workbench import sizes
from residuum.apps.workbench.jobs import Ticket
from residuum.apps.workbench.routes.asking import TheBench, ask
from residuum.apps.workbench.schemas import Closed, Count, Ids, ModelName, Seed, TokenId
from residuum.apps.workbench.store_folder import SWEEPS
from residuum.apps.workbench.sweep_plan import Pairs, SweepPlan
from residuum.core import OptionError
from residuum.runs import Model

router = APIRouter(prefix="/api", tags=["sweeps"])
Name = Annotated[str, Field(min_length=1, max_length=60)]
Axis = Literal["layer", "head", "neuron", "expert", "pos", "q_pos", "k_pos"]
Index = Annotated[StrictInt, Field(ge=-(2**31), lt=2**31)]
Indices = Annotated[list[Index], Field(min_length=1, max_length=10_000)]


class SweepRequest(Closed):
    """A sweep over a named task, or over one pair of prompts of the same length.

    ``direction`` patches: ``denoise`` writes clean values into the corrupt run, ``noise`` corrupt
    ones into the clean run. ``how`` removes instead. ``only`` names the indices of an axis.
    ``tokens`` keeps only the task's pairs of so many tokens, so that positions line up.
    """

    model: ModelName
    task: Name | None = None
    n: Count = 16
    seed: Seed = 0
    tokens: Annotated[StrictInt, Field(ge=1, le=sizes.PROMPT_TOKENS)] | None = None
    clean: Ids | None = None
    corrupt: Ids | None = None
    answer: TokenId | None = None
    wrong: TokenId | None = None
    sites: Name = "z"
    by: list[Axis] = Field(default=["layer", "head"], min_length=1, max_length=4)
    direction: Literal["denoise", "noise"] = "denoise"
    how: Literal["zero", "mean", "resample", "swap"] | None = None
    metric: Name | None = None
    only: Annotated[dict[Axis, Indices], Field(max_length=sizes.NAMES)] | None = None


class SweepStarted(BaseModel):
    """The job of a sweep, and what its cells are.

    ``labels`` and ``coords`` have one entry for each index of a dim; ``impossible`` lists the
    cells that are none (keys after the query): they stay empty. ``note`` says what the numbers
    will not show.
    """

    job: str
    site: str
    kind: str
    dims: list[str]
    shape: list[int]
    labels: dict[str, list[str]]
    coords: dict[str, list[int]]
    n_cells: int
    impossible: list[list[int]]
    metric: str
    unit: str
    task: str
    n_pairs: int
    clean_tokens: list[str]
    corrupt_tokens: list[str]
    note: str
    python: str


@router.post("/sweeps", operation_id="startSweep")
async def start_sweep(bench: TheBench, request: Request, body: SweepRequest) -> SweepStarted:
    """Check a sweep and put it into its model's queue; its events are at ``/api/jobs/{job}``."""
    plan = SweepPlan(
        pairs=_pairs(body),
        site=body.sites,
        by=tuple(body.by),
        direction=body.direction,
        how=body.how or "",
        metric=body.metric or "",
        only=None if body.only is None else {str(axis): at for axis, at in body.only.items()},
    )
    desk, folder = bench.desk(body.model), bench.book.folder / SWEEPS
    about = await ask(request, desk, plan.check)

    def work(model: Model, ticket: Ticket) -> dict[str, Any]:
        return plan.run(model, ticket, folder)

    told = about | {"python": plan.python()}
    job = bench.jobs.start(desk, "sweep", told, work)
    return SweepStarted.model_validate({"job": job.id, **told})


def _pairs(body: SweepRequest) -> Pairs:
    """The task or the pair, and never half of either."""
    pair = {"clean": body.clean, "corrupt": body.corrupt, "answer": body.answer}
    given = [name for name, value in pair.items() if value is not None]
    if body.task is not None:
        if given or body.wrong is not None:
            raise OptionError(
                "a task brings its own prompts and answers",
                mend="leave clean, corrupt, answer and wrong out, or leave task out",
            )
        return Pairs(task=body.task, n=body.n, seed=body.seed, tokens=body.tokens or 0)
    if len(given) < len(pair):
        lacking = ", ".join(name for name in pair if name not in given)
        raise OptionError(
            f"a sweep needs a task, or a pair of prompts; there is no {lacking}",
            mend="name a task (GET /api/tasks), or give clean, corrupt, answer and wrong",
        )
    return Pairs(
        clean=tuple(body.clean or ()),
        corrupt=tuple(body.corrupt or ()),
        answer=body.answer,
        wrong=body.wrong,
    )
