"""Fields that several requests have, each with its bounds, and what every request is."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt

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
