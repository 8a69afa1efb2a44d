"""Tasks and their contrast pairs."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from residuum.apps.workbench.schemas.fields import Closed, Count, ModelName, Seed


class TaskInfo(BaseModel):
    """A task that fits the model."""

    name: str
    metric: str


class TaskList(BaseModel):
    """Tasks that fit the model; ``refused`` says why others do not."""

    tasks: list[TaskInfo]
    refused: dict[str, str]


class PairsRequest(Closed):
    """Contrast pairs to make."""

    model: ModelName
    task: Annotated[str, Field(min_length=1, max_length=100)]
    n: Count = 8
    seed: Seed = 0


class Pair(BaseModel):
    """A clean and a corrupt prompt, without padding; positions count from the first token."""

    clean: list[int]
    corrupt: list[int]
    clean_tokens: list[str]
    corrupt_tokens: list[str]
    answers: list[int]
    wrong: list[int]
    answer_tokens: list[str]
    wrong_tokens: list[str]
    positions: dict[str, int]


class Pairs(BaseModel):
    """Contrast pairs of a task."""

    task: str
    metric: str
    pairs: list[Pair]
