"""What a refused request gets."""

from __future__ import annotations

from pydantic import BaseModel


class Failure(BaseModel):
    """Every error: one line what, one line how to mend it, and where."""

    what: str
    mend: str
    where: str = ""
