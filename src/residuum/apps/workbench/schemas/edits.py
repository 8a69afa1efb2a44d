"""Verdicts on edits."""

from __future__ import annotations

from pydantic import BaseModel

from residuum.apps.workbench.schemas.errors import Failure
from residuum.apps.workbench.schemas.fields import Closed, Edits, Ids, ModelName


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
