"""Worked examples."""

from __future__ import annotations

from pydantic import BaseModel

from residuum.apps.workbench.schemas.fields import EditJson


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
