"""Views of runs."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from residuum.apps.workbench.schemas.fields import Closed, RunId


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
