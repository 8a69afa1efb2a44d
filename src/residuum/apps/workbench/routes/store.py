"""The store: where it is and how large."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter

from residuum.apps.workbench.routes.asking import TheBench
from residuum.apps.workbench.schemas import StoreFacts
from residuum.apps.workbench.store_folder import measured

router = APIRouter(prefix="/api", tags=["store"])


@router.get("/store", operation_id="readStore")
def read_store(bench: TheBench) -> StoreFacts:
    """Where the history is kept, and how large it is; ``residuum serve --tidy`` tidies it."""
    folder = bench.book.folder
    parts = {name: asdict(part) for name, part in measured(folder).items()}
    facts = {"folder": str(folder), "records": bench.book.count, **parts}
    return StoreFacts.model_validate(facts)
