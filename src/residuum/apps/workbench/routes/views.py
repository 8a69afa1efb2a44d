"""Views of runs, as binary arrays: one route for each view, typed by its parameters."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import create_model

from residuum.apps.workbench.bench import Bench
from residuum.apps.workbench.refusals import NotFound
from residuum.apps.workbench.routes.asking import TheBench, ask
from residuum.apps.workbench.routes.runs import two_runs
from residuum.apps.workbench.schemas import ViewInfo, ViewRequest, Views
from residuum.apps.workbench.views import all_views
from residuum.apps.workbench.views.view import Look, View
from residuum.apps.workbench.wire import MEDIA_TYPE, pack
from residuum.core import ResiduumError
from residuum.runs import Model

router = APIRouter(prefix="/api", tags=["views"])


@router.get("/views", operation_id="listViews")
def list_views(bench: TheBench) -> Views:
    """The views in their order, with their parameters."""
    desk = bench.desks.get(bench.current)
    model = None if desk is None else desk.model
    return Views(views=[_info(view, model) for view in all_views().values()])


def _info(view: View, model: Model | None) -> ViewInfo:
    return ViewInfo(
        name=view.name,
        title=view.title,
        order=view.order,
        about=view.about,
        needs=[] if model is None else _needs(view, model),
        params=view.Params.model_json_schema(),
    )


def _needs(view: View, model: Model) -> list[str]:
    try:
        return [str(each) for each in view.needs(model, view.Params())]
    except ResiduumError:  # the current model has not what this view stands on
        return []


async def look(bench: Bench, request: Request, view: View, body: ViewRequest) -> Response:
    """What a view shows of a run, or of the difference of two."""
    params = view.Params(**body.model_dump(exclude={"run", "minus"}))
    first, second = two_runs(bench, body.run, body.minus)

    def work(model: Model) -> bytes:
        needs = [str(each) for each in view.needs(model, params)]
        run = bench.book.again(model, first, needs).run
        minus = None if second is None else bench.book.again(model, second, needs).run
        shown = view.read(Look(model, run, minus), params)
        own = {"run": body.run, "minus": body.minus, "view": view.name}
        own |= {"tokens": first["tokens"], "ids": first["ids"]}
        return pack(shown.meta.model_copy(update=own).model_dump(mode="json"), shown.arrays)

    desk = bench.desk(first["model"])
    return Response(await ask(request, desk, work), media_type=MEDIA_TYPE)


def _add_route(view: View) -> None:
    """The view's own route, whose body is the request's fields and the view's parameters."""
    name = view.name.capitalize()
    body_type: Any = create_model(
        f"{name}Request",
        __base__=(ViewRequest, view.Params),
        __doc__=f"{view.title}: what to show.",
    )

    async def endpoint(bench: TheBench, request: Request, body: Any) -> Response:
        return await look(bench, request, view, body)

    endpoint.__annotations__ = {**endpoint.__annotations__, "body": body_type}
    endpoint.__doc__ = view.about
    router.add_api_route(
        f"/views/{view.name}",
        endpoint,
        methods=["POST"],
        operation_id=f"look{name}",
        response_class=Response,
        responses={200: {"content": {MEDIA_TYPE: {}}, "description": f"Meta is {name}Meta"}},
    )


for _each in all_views().values():
    _add_route(_each)


@router.post("/views/{name}", operation_id="lookUnknown", include_in_schema=False)
def unknown_view(name: str) -> None:
    """No view of this name."""
    raise NotFound(f"no view {name[:40]!r}", mend=f"one of: {', '.join(all_views())}")
