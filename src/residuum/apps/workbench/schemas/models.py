"""Models that may be opened."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from residuum.apps.workbench.schemas.errors import Failure
from residuum.apps.workbench.schemas.fields import Closed, ModelName


class ModelInfo(BaseModel):
    """A model that may be opened; sizes are null until it is loaded."""

    name: str
    loaded: bool
    state: Literal["closed", "loading", "ready", "failed"]
    failure: Failure | None = None
    n_layers: int | None = None
    n_heads: int | None = None
    n_kv_heads: int | None = None
    d_model: int | None = None
    d_head: int | None = None
    d_mlp: int | None = None
    d_vocab: int | None = None
    n_ctx: int | None = None
    family: str | None = None
    dtype: str | None = None
    device: str | None = None
    weight_hash: str | None = None
    parallel: bool | None = None
    has_tokenizer: bool | None = None
    prepends_bos: bool | None = None
    sites: list[str] = []
    refused: dict[str, str] = {}


class Models(BaseModel):
    """The models that may be opened: the first named at the start, and the one opened last."""

    first: str
    current: str
    version: str
    models: list[ModelInfo]


class OpenModel(Closed):
    """Which model to open."""

    name: ModelName
