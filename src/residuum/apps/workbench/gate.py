"""The gate: what may come in at all. Token, Host, Origin, content type, size, and finite JSON.

It stands before everything else, so that a new route is safe without doing anything for it.
"""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from typing import Any, NoReturn

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from residuum.apps.workbench.failures import answer, crashed
from residuum.apps.workbench.refusals import Forbidden, TooLarge, Unauthorised, WrongType
from residuum.apps.workbench.sizes import BODY_BYTES
from residuum.core import OptionError, ResiduumError

_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
DRAINED_BYTES = 16 * BODY_BYTES
"""Of a body that is too large, read and dropped before it is refused."""
_LENGTH_DIGITS = 18
_READING = ("GET", "HEAD", "OPTIONS")


class Gate:
    """ASGI middleware that lets in only this server's own pages and whoever has the token.

    Args:
        app: what is behind it.
        token: that every request under ``/api`` must bring: as a cookie, ``Authorization: Bearer``
            or ``X-Residuum-Token``.
        hosts: values of ``Host`` that mean this server.
        cookie: name of the cookie.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: Iterable[str], cookie: str) -> None:
        self.app = app
        self.token = token
        self.hosts = frozenset(hosts)
        self.cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer why not."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})
        sealed = _Sealed(scope, send)
        try:
            headers = Headers(scope=scope)
            self._check_place(headers)
            if _guarded(scope["path"]):
                self._check_token(headers)
            body = await _body(scope["method"], headers, receive)
        except ResiduumError as error:
            return await answer(error)(scope, receive, sealed)
        try:
            await self.app(scope, _replayed(body, receive), sealed)
        except Exception as error:
            if sealed.begun:
                raise
            await crashed(scope, error)(scope, receive, sealed)

    def _check_place(self, headers: Headers) -> None:
        host = headers.getlist("host")
        if len(host) != 1 or host[0].lower() not in self.hosts:
            raise Forbidden(
                "this host name does not belong to the server",
                mend=f"use http://{min(self.hosts, default='')}",
            )
        for origin in headers.getlist("origin"):
            if origin.lower() != f"http://{host[0].lower()}":
                raise Forbidden(
                    "requests from another page's origin are refused",
                    mend="use the server's own page, or a client that sends no Origin",
                )

    def _check_token(self, headers: Headers) -> None:
        given = [
            headers.get("x-residuum-token", ""),
            headers.get("authorization", "").removeprefix("Bearer "),
            _cookies(headers).get(self.cookie, ""),
        ]
        if not any([same(each, self.token) for each in given]):
            raise Unauthorised(
                "the request has no valid token",
                mend="open the link that residuum serve printed, or send Authorization: Bearer",
            )


def same(given: str, token: str) -> bool:
    """Whether a text is the token, in a time that does not tell how much of it is right."""
    return secrets.compare_digest(given.encode("utf-8", "replace"), token.encode())


def _guarded(path: str) -> bool:
    return path == "/api" or path.startswith("/api/")


def _cookies(headers: Headers) -> dict[str, str]:
    jar: SimpleCookie = SimpleCookie()
    try:
        for line in headers.getlist("cookie"):
            jar.load(line)
    except CookieError:
        return {}
    return {name: each.value for name, each in jar.items()}


async def _body(method: str, headers: Headers, receive: Receive) -> bytes:
    """The whole body, within bounds and finite JSON; empty for methods that only read.

    One that is too large is read on, and dropped, up to a second bound: a client that is still
    sending when the connection closes sees a reset, and never the answer.
    """
    declared = headers.get("content-length", "0")
    if not declared.isascii() or not declared.isdigit() or len(declared) > _LENGTH_DIGITS:
        raise _too_large()
    if int(declared) > DRAINED_BYTES:
        raise _too_large()
    body, got, more = bytearray(), 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        got += len(message.get("body", b""))
        if got > DRAINED_BYTES:
            raise _too_large()
        if got <= BODY_BYTES:
            body += message.get("body", b"")
        more = message.get("more_body", False)
    if max(got, int(declared)) > BODY_BYTES:
        raise _too_large()
    if body or method not in (*_READING, "DELETE"):
        kind = headers.get("content-type", "").split(";")[0].strip().lower()
        if kind != "application/json":
            raise WrongType("the body is not JSON", mend="send Content-Type: application/json")
        check_json(bytes(body))
    return bytes(body)


def check_json(body: bytes) -> Any:
    """Read a body as strict JSON.

    Raises:
        OptionError: not JSON, NaN or infinity in it, nested too deeply, or text that is no Unicode.
    """
    try:
        data = json.loads(body.decode(), parse_constant=_refuse_number, parse_float=_finite)
        json.dumps(data, ensure_ascii=False).encode()
    except OptionError:
        raise
    except RecursionError:
        reason = "it is nested too deeply"
    except UnicodeError:
        reason = "its text is not Unicode"
    except ValueError as error:
        reason = str(error)
    else:
        return data
    raise OptionError(f"the body is not JSON: {reason}", mend="send one JSON document, UTF-8")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse_number(text)


def _refuse_number(text: str) -> NoReturn:
    raise OptionError(
        f"the number {text[:20]} in the body is not finite", mend="send finite numbers"
    )


def _too_large() -> TooLarge:
    return TooLarge(
        f"the body is larger than {BODY_BYTES >> 20} MB",
        mend="send less at once; large tensors are made on the server: POST /api/values",
    )


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body that was read, once; then what comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


class _Sealed:
    """``send`` that puts the safety headers on every answer.

    Attributes:
        begun: whether an answer is on its way.
    """

    def __init__(self, scope: Scope, send: Send) -> None:
        self.begun = False
        self._guarded = _guarded(scope["path"])
        self._send = send

    async def __call__(self, message: Message) -> None:
        """Send one message."""
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            if self._guarded:
                headers["Cache-Control"] = "no-store"
        await self._send(message)
