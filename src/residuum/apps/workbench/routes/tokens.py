"""Text as tokens, and tokens by their text."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from residuum.apps.workbench.desk import Desk
from residuum.apps.workbench.routes.asking import TheBench, ask
from residuum.apps.workbench.schemas import Found, Tokens, TokensRequest, VocabularyEntry
from residuum.runs import Model

router = APIRouter(prefix="/api", tags=["tokens"])
_MOST = 50


@router.post("/tokens", operation_id="makeTokens")
async def make_tokens(bench: TheBench, request: Request, body: TokensRequest) -> Tokens:
    """Cut a text into tokens, as a run would."""

    def work(model: Model) -> Tokens:
        ids = model.to_tokens(body.text, body.prepend_bos)[0].tolist()
        return Tokens(ids=ids, tokens=model.to_str_tokens(ids), prepends_bos=model.prepends_bos)

    return await ask(request, bench.desk(body.model), work)


@router.get("/tokens/search", operation_id="searchTokens")
async def search_tokens(
    bench: TheBench,
    request: Request,
    model: Annotated[str, Query(min_length=1, max_length=1000)],
    query: Annotated[str, Query(min_length=1, max_length=100)],
) -> Found:
    """Up to 50 entries: the id or the same text first, then those that begin so or contain it."""
    desk = bench.desk(model)
    return await ask(request, desk, lambda loaded: Found(entries=_search(desk, loaded, query)))


def _search(desk: Desk, model: Model, query: str) -> list[VocabularyEntry]:
    if "vocabulary" not in desk.found:
        words = model.adapted.tokens.strings(range(model.d_vocab))
        desk.found["vocabulary"] = [(word, word.strip().lower()) for word in words]
    wanted = query.strip().lower() or query
    ranked: list[tuple[int, int, int]] = []
    for index, (word, bare) in enumerate(desk.found["vocabulary"]):
        rank = _rank(index, word, bare, query, wanted)
        if rank is not None:
            ranked.append((rank, len(word), index))
    chosen = sorted(ranked)[:_MOST]
    return [VocabularyEntry(id=i, token=desk.found["vocabulary"][i][0]) for *_, i in chosen]


def _rank(index: int, word: str, bare: str, query: str, wanted: str) -> int | None:
    """0 the best; None where the entry does not match."""
    if word == query or str(index) == query:
        return 0
    if bare == wanted:
        return 1
    if bare.startswith(wanted):
        return 2
    return 3 if wanted in word.lower() else None
