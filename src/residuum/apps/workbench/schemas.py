"""What goes in and out as JSON, typed; the pages' types are generated from these."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from residuum.apps.workbench import sizes

EditJson = dict[str, Any]
"""An edit as the library writes it: ``kind``, ``at`` and the kind's own fields."""
TokenId = Annotated[StrictInt, Field(ge=0, lt=2**31)]
Ids = Annotated[list[TokenId], Field(min_length=1, max_length=sizes.PROMPT_TOKENS)]
Edits = Annotated[list[EditJson], Field(max_length=sizes.EDITS)]
ModelName = Annotated[str, Field(min_length=1, max_length=1000)]
RunId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
SiteText = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(min_length=1, max_length=sizes.TEXT_CHARACTERS)]
ViewName = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,40}$")]
Seed = Annotated[StrictInt, Field(ge=0, lt=2**31)]
Count = Annotated[StrictInt, Field(ge=1, le=sizes.PAIRS)]


class Closed(BaseModel):
    """A request: fields beyond the known ones are refused, and so are NaN and infinity."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Failure(BaseModel):
    """Every error: one line what, one line how to mend it, and where."""

    what: str
    mend: str
    where: str = ""


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
    """The models that may be opened, and the one opened last."""

    current: str
    version: str
    models: list[ModelInfo]


class OpenModel(Closed):
    """Which model to open."""

    name: ModelName


class TokensRequest(Closed):
    """A text to cut into tokens."""

    model: ModelName
    text: Text
    prepend_bos: StrictBool | None = None


class Tokens(BaseModel):
    """A prompt as ids and as text, token by token."""

    ids: list[int]
    tokens: list[str]
    prepends_bos: bool


class VocabularyEntry(BaseModel):
    """One entry of a vocabulary."""

    id: int
    token: str


class Found(BaseModel):
    """Entries of a vocabulary."""

    entries: list[VocabularyEntry]


class RunRequest(Closed):
    """A prompt and edits to run; either text or ids."""

    model: ModelName
    text: Text | None = None
    ids: Ids | None = None
    prepend_bos: StrictBool | None = None
    edits: Edits = []
    views: Annotated[list[ViewName], Field(max_length=sizes.NAMES)] = []
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


class ViewRequest(Closed):
    """Which run to look at, and which to subtract from it."""

    run: RunId
    minus: RunId | None = None


class ViewInfo(BaseModel):
    """A view: its heading, what it shows, the sites it needs of the current model, its parameters.

    ``params`` is a JSON Schema.
    """

    name: str
    title: str
    order: int
    about: str
    needs: list[str]
    params: dict[str, Any]


class Views(BaseModel):
    """The views in their order."""

    views: list[ViewInfo]
