"""What goes in and out as JSON, typed; the pages' types are generated from these.

One file for each noun; a route's own requests may stand beside the route.
"""

from residuum.apps.workbench.schemas.edits import (
    CheckRequest,
    EditVerdict,
    EditVerdicts,
)
from residuum.apps.workbench.schemas.errors import (
    Failure,
)
from residuum.apps.workbench.schemas.examples import (
    Example,
    Examples,
)
from residuum.apps.workbench.schemas.fields import (
    Closed,
    Count,
    EditJson,
    Edits,
    Ids,
    ModelName,
    RunId,
    Seed,
    SiteText,
    Text,
    TokenId,
    ViewName,
)
from residuum.apps.workbench.schemas.models import (
    ModelInfo,
    Models,
    OpenModel,
)
from residuum.apps.workbench.schemas.runs import (
    Code,
    Prediction,
    PythonRequest,
    RunRecord,
    RunRequest,
    Runs,
)
from residuum.apps.workbench.schemas.store import StoreFacts, StorePart
from residuum.apps.workbench.schemas.tasks import (
    Pair,
    Pairs,
    PairsRequest,
    TaskInfo,
    TaskList,
)
from residuum.apps.workbench.schemas.tokens import (
    Found,
    Tokens,
    TokensRequest,
    VocabularyEntry,
)
from residuum.apps.workbench.schemas.values import (
    NumbersValue,
    RunValue,
    StoredValue,
    TaskValue,
    TensorReference,
    UnembedValue,
    ValueRequest,
)
from residuum.apps.workbench.schemas.views import (
    ViewInfo,
    ViewRequest,
    Views,
)

__all__ = [
    "CheckRequest",
    "Closed",
    "Code",
    "Count",
    "EditJson",
    "EditVerdict",
    "EditVerdicts",
    "Edits",
    "Example",
    "Examples",
    "Failure",
    "Found",
    "Ids",
    "ModelInfo",
    "ModelName",
    "Models",
    "NumbersValue",
    "OpenModel",
    "Pair",
    "Pairs",
    "PairsRequest",
    "Prediction",
    "PythonRequest",
    "RunId",
    "RunRecord",
    "RunRequest",
    "RunValue",
    "Runs",
    "Seed",
    "SiteText",
    "StoreFacts",
    "StorePart",
    "StoredValue",
    "TaskInfo",
    "TaskList",
    "TaskValue",
    "TensorReference",
    "Text",
    "TokenId",
    "Tokens",
    "TokensRequest",
    "UnembedValue",
    "ValueRequest",
    "ViewInfo",
    "ViewName",
    "ViewRequest",
    "Views",
    "VocabularyEntry",
]
