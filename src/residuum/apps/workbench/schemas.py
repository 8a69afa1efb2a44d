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


class CheckRequest(Closed):
    """Edits to check on a prompt, each alone."""

    model: ModelName
    ids: Ids
    edits: Edits


class EditVerdict(BaseModel):
    """Whether an edit can be applied; ``failure`` says why not."""

    ok: bool
    failure: Failure | None = None


class EditVerdicts(BaseModel):
    """One verdict for each edit, in order."""

    edits: list[EditVerdict]


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


class Example(BaseModel):
    """A worked example: what to open, and what to look at step by step."""

    name: str
    title: str
    about: str
    text: str
    edits: list[EditJson]
    view: str
    sel: dict[str, int | str]
    steps: list[str]


class Examples(BaseModel):
    """The worked examples of a model."""

    examples: list[Example]


class PythonRequest(Closed):
    """What a script is to reproduce: a run, what is subtracted, a view of it."""

    run: RunId
    a: RunId | None = None
    view: ViewName | None = None
    params: dict[str, Any] = {}


class Code(BaseModel):
    """A script."""

    code: str
