"""Runs, their history, and scripts that make them again."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, StrictBool, StrictInt

from residuum.apps.workbench import sizes
from residuum.apps.workbench.schemas.fields import (
    Closed,
    EditJson,
    Edits,
    Ids,
    ModelName,
    RunId,
    Text,
    ViewName,
)


class RunRequest(Closed):
    """A prompt and edits to run; either text or ids."""

    model: ModelName
    text: Text | None = None
    ids: Ids | None = None
    prepend_bos: StrictBool | None = None
    edits: Edits = Field(default=[])
    views: list[ViewName] = Field(default=[], max_length=sizes.NAMES)
    top_k: Annotated[StrictInt, Field(ge=1, le=sizes.TOP)] = 10


class Prediction(BaseModel):
    """A likely next token at ``pos``; the logit in nats, the probability from 0 to 1."""

    pos: int
    id: int
    token: str
    prob: float
    logit: float


class RunRecord(BaseModel):
    """One run; it never changes. ``fired`` counts, for each edit, the sites it wrote to.

    ``created``, ``took_ms`` and ``passes`` (forward passes) are of the time it was first made.
    """

    id: str
    hash: str
    model: str
    weights: str
    ids: list[int]
    tokens: list[str]
    edits: list[EditJson]
    fired: list[int]
    predictions: list[Prediction]
    seed: int | None
    dtype: str
    created: str
    took_ms: float
    passes: float


class Runs(BaseModel):
    """The history, newest first."""

    runs: list[RunRecord]


class PythonRequest(Closed):
    """What a script is to reproduce: a run, what is subtracted, a view of it."""

    run: RunId
    a: RunId | None = None
    view: ViewName | None = None
    params: dict[str, Any] = Field(default={})


class Code(BaseModel):
    """A script."""

    code: str
