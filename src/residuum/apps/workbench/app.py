"""The application: routes behind the gate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI

from residuum.apps.workbench.bench import Bench
from residuum.apps.workbench.failures import handle_failures
from residuum.apps.workbench.gate import Gate
from residuum.apps.workbench.routes import all_routers
from residuum.apps.workbench.schemas import Failure
from residuum.apps.workbench.views import all_views
from residuum.core import package_version

_FAILURES: dict[int | str, dict[str, Any]] = {
    400: {"model": Failure, "description": "Bad input"},
    401: {"model": Failure, "description": "No valid token"},
    403: {"model": Failure, "description": "Foreign host or origin"},
    404: {"model": Failure, "description": "No such thing"},
    409: {"model": Failure, "description": "Not in this state"},
    413: {"model": Failure, "description": "Body too large"},
    415: {"model": Failure, "description": "Not JSON"},
    429: {"model": Failure, "description": "Queue full"},
}


def create_app(bench: Bench, token: str, hosts: Iterable[str], port: int = 0) -> FastAPI:
    """The server as an ASGI application.

    Args:
        bench: what it works on.
        token: that requests must bring.
        hosts: values of ``Host`` that mean this server, such as ``127.0.0.1:8642``.
        port: names the cookie, so that two servers on one machine do not share it.
    """
    app = FastAPI(
        title="Residuum workbench",
        version=package_version(),
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        responses=_FAILURES,
        separate_input_output_schemas=False,
    )
    app.state.bench = bench
    app.state.token = token
    app.state.cookie = f"residuum-{port}"
    handle_failures(app)
    for router in all_routers():
        app.include_router(router)
    _describe(app)
    app.add_middleware(Gate, token=token, hosts=tuple(hosts), cookie=app.state.cookie)
    return app


def _describe(app: FastAPI) -> None:
    """The OpenAPI document: without 422, which is never sent, and with the views' typed fields."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = plain()
            for path in schema["paths"].values():
                for operation in path.values():
                    operation["responses"].pop("422", None)
            parts = schema["components"]["schemas"]
            for name in ("HTTPValidationError", "ValidationError"):
                parts.pop(name, None)
            for view in all_views().values():
                parts |= _meta_schema(view.name, view.Meta)
            schema["components"]["schemas"] = dict(sorted(parts.items()))
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi


def _meta_schema(name: str, meta: Any) -> dict[str, Any]:
    schema = meta.model_json_schema(
        mode="serialization", ref_template="#/components/schemas/{model}"
    )
    inner = schema.pop("$defs", {})
    return {**inner, f"{name.capitalize()}Meta": schema}
