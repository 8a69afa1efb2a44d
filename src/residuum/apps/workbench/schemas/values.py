"""Tensors for edits."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from residuum.apps.workbench.schemas.fields import (
    Closed,
    Count,
    ModelName,
    RunId,
    Seed,
    SiteText,
    TokenId,
)


class TensorReference(BaseModel):
    """A tensor by content; its numbers are in the server's store."""

    hash: str
    shape: list[int]
    dtype: str


class StoredValue(BaseModel):
    """A tensor for an edit, and what it is in one line."""

    value: TensorReference
    note: str


class RunValue(Closed):
    """What a site held in a run."""

    source: Literal["run"] = Field(alias="from")
    run: RunId
    at: SiteText


class TaskValue(Closed):
    """A site's mean over a task's clean prompts, or its rows there (``resample``)."""

    source: Literal["mean", "resample"] = Field(alias="from")
    model: ModelName
    task: Annotated[str, Field(min_length=1, max_length=100)]
    n: Count = 64
    seed: Seed = 0
    at: SiteText


class UnembedValue(Closed):
    """The unembedding of a token, or of the first less the second, times ``scale``."""

    source: Literal["unembed"] = Field(alias="from")
    model: ModelName
    tokens: Annotated[list[TokenId], Field(min_length=1, max_length=2)]
    scale: Annotated[float, Field(ge=-1e6, le=1e6)] = 1.0


class NumbersValue(Closed):
    """Numbers, or equal lists of them to any depth."""

    source: Literal["numbers"] = Field(alias="from")
    values: float | list[Any]


ValueRequest = RunValue | TaskValue | UnembedValue | NumbersValue
