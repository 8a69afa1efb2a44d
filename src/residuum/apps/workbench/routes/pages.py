"""The built pages, and the link that the terminal prints."""

from __future__ import annotations

import gzip
import mimetypes
import re
from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from residuum.apps.workbench.gate import same
from residuum.apps.workbench.refusals import NotFound, Unauthorised

router = APIRouter(include_in_schema=False)
STATIC = Path(__file__).resolve().parent.parent / "static"
_TEXT = ("application/json", "application/javascript", "application/manifest+json", "image/svg+xml")
_NEVER = re.compile(r"q\s*=\s*0(\.0*)?")
_PACKED_FILES = 64
_MISSING = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Residuum</title>
<p>The pages are not built. <code>cd web; npm ci; npm run build</code> builds them.
The API under <code>/api/</code> works without them.</p></html>"""


@router.get("/")
def front(request: Request, token: str | None = None) -> Response:
    """The page; with the token, a cookie and on to the page without it in the address."""
    if token is None:
        return _page("index.html", _accepted(request)) or HTMLResponse(_MISSING)
    if not same(token, request.app.state.token):
        raise Unauthorised(
            "the link's token is not this server's",
            mend="open the link that residuum serve printed last",
        )
    response = RedirectResponse("/", status_code=303)
    response.set_cookie(request.app.state.cookie, token, path="/", httponly=True, samesite="strict")
    response.headers["Cache-Control"] = "no-store"
    return response


@router.get("/{path:path}")
def page(request: Request, path: str) -> Response:
    """One of the built files."""
    inside = path.startswith("api/") or path == "api"
    found = None if inside else _page(path, _accepted(request))
    if found is None:
        raise NotFound(f"there is no /{path[:80]}", mend="/ is the page, /api/models the API")
    return found


def _accepted(request: Request) -> str:
    return ",".join(request.headers.getlist("accept-encoding"))


def built() -> dict[str, Path]:
    """The files that there are, by their path in an address; nothing else is ever served."""
    files = (each for each in STATIC.rglob("*") if each.is_file() and not each.is_symlink())
    return {each.relative_to(STATIC).as_posix(): each for each in files}


def _page(path: str, accepted: str = "") -> Response | None:
    file = built().get(path)
    if file is None or path.startswith("."):
        return None
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    kind = "text/javascript" if path.endswith(".js") else kind
    fixed = path.startswith("assets/")
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable" if fixed else "no-cache",
    }
    if not _is_text(kind):
        return FileResponse(file, media_type=kind, headers=headers)
    headers["Vary"] = "Accept-Encoding"
    if not takes_gzip(accepted):
        return FileResponse(file, media_type=kind, headers=headers)
    headers["Content-Encoding"] = "gzip"
    status = file.stat()
    packed = _packed(file, status.st_mtime_ns, status.st_size)
    return Response(packed, media_type=kind, headers=headers)


def takes_gzip(accepted: str) -> bool:
    """Whether an ``Accept-Encoding`` lets gzip in: named, or by ``*``, and not with ``q=0``."""
    weights: dict[str, bool] = {}
    for part in accepted.lower().split(","):
        name, _, more = part.partition(";")
        weights[name.strip()] = not _NEVER.fullmatch(more.strip())
    return weights.get("gzip", weights.get("*", False))


def _is_text(kind: str) -> bool:
    return kind.startswith("text/") or kind in _TEXT


@lru_cache(maxsize=_PACKED_FILES)
def _packed(file: Path, _changed_ns: int, _size: int) -> bytes:
    """A file by gzip, made once; a file that changed is another."""
    return gzip.compress(file.read_bytes(), 9, mtime=0)
