"""Errors as the client sees them: ``{what, mend, where}`` and a status, never a traceback."""

from __future__ import annotations

import logging
import secrets
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import Scope

from residuum.apps.workbench.refusals import Refusal
from residuum.core import ResiduumError

LOG = logging.getLogger("residuum.workbench")
_LONGEST = 400


def body_of(error: ResiduumError) -> dict[str, str]:
    """An error as plain data."""
    return {"what": _line(error.what), "mend": _line(error.mend), "where": _line(error.where)}


def status_of(error: ResiduumError) -> int:
    """Its HTTP status: 400 unless it has one of its own."""
    return error.status if isinstance(error, Refusal) else 400


def answer(error: ResiduumError) -> JSONResponse:
    """The response for it."""
    return JSONResponse(body_of(error), status_of(error))


def handle_failures(app: FastAPI) -> None:
    """Install the handlers."""
    app.add_exception_handler(ResiduumError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _known(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ResiduumError)
    return answer(error)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    where = ".".join(str(each) for each in first["loc"][1:]) or str(first["loc"][0])
    what = f"{where}: {first['msg']}"
    return answer(ResiduumError(what, mend="see /api/openapi.json for the fields", where=where))


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    reason = HTTPStatus(error.status_code).phrase.lower()
    what = str(error.detail) if error.detail else reason
    mends = {404: "GET /api/views and /api/models say what there is", 405: "use another method"}
    body = ResiduumError(what, mend=mends.get(error.status_code, "see /api/openapi.json"))
    return JSONResponse(body_of(body), error.status_code, headers=error.headers)


def crashed(scope: Scope, error: Exception) -> JSONResponse:
    """The response where the server itself failed; the reason goes to the log, under a number."""
    number = secrets.token_hex(4)
    LOG.error("%s: %s %s", number, scope["method"], scope["path"], exc_info=error)
    what = f"the server failed ({type(error).__name__}); its log has the reason under {number}"
    mend = "this is a bug of the workbench: report it with that log entry"
    return JSONResponse({"what": what, "mend": mend, "where": ""}, 500)


def _line(text: str) -> str:
    short = " ".join(str(text).split())
    short = short.encode("utf-8", "replace").decode()
    return short if len(short) <= _LONGEST else f"{short[: _LONGEST - 1]}…"
