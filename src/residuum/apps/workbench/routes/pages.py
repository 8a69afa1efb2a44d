"""The built pages, and the link that the terminal prints."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from residuum.apps.workbench.gate import same
from residuum.apps.workbench.refusals import NotFound, Unauthorised

router = APIRouter(include_in_schema=False)
STATIC = Path(__file__).resolve().parent.parent / "static"
_MISSING = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Residuum</title>
<p>The pages are not built. <code>cd web; npm ci; npm run build</code> builds them.
The API under <code>/api/</code> works without them.</p></html>"""


@router.get("/")
def front(request: Request, token: str | None = None) -> Response:
    """The page; with the token, a cookie and on to the page without it in the address."""
    if token is None:
        return _page("index.html") or HTMLResponse(_MISSING)
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
def page(path: str) -> Response:
    """One of the built files."""
    found = None if path.startswith("api/") or path == "api" else _page(path)
    if found is None:
        raise NotFound(f"there is no /{path[:80]}", mend="/ is the page, /api/models the API")
    return found


def built() -> dict[str, Path]:
    """The files that there are, by their path in an address; nothing else is ever served."""
    files = (each for each in STATIC.rglob("*") if each.is_file() and not each.is_symlink())
    return {each.relative_to(STATIC).as_posix(): each for each in files}


def _page(path: str) -> Response | None:
    file = built().get(path)
    if file is None or path.startswith("."):
        return None
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    fixed = path.startswith("assets/")
    response = FileResponse(file, media_type="text/javascript" if path.endswith(".js") else kind)
    response.headers["Cache-Control"] = (
        "public, max-age=31536000, immutable" if fixed else "no-cache"
    )
    return response
