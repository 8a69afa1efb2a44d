"""Texts and tokens."""

from __future__ import annotations

from pydantic import BaseModel, StrictBool

from residuum.apps.workbench.schemas.fields import Closed, ModelName, Text


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
