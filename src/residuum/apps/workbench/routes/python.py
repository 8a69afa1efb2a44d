"""Copy as Python."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from residuum.apps.workbench.refusals import NotFound
from residuum.apps.workbench.routes.asking import TheBench, ask
from residuum.apps.workbench.routes.runs import two_runs
from residuum.apps.workbench.schemas import Code, PythonRequest
from residuum.apps.workbench.snippets import Script
from residuum.apps.workbench.views import all_views
from residuum.core import OptionError
from residuum.runs import Model

router = APIRouter(prefix="/api", tags=["runs"])


@router.post("/python", operation_id="copyPython")
async def copy_python(bench: TheBench, request: Request, body: PythonRequest) -> Code:
    """A script for the run, and for a view's arrays under their names, with the library alone."""
    if body.view is None and body.params:
        raise OptionError("params are those of a view", mend="name the view, or leave params out")
    view = None if body.view is None else all_views().get(body.view)
    if body.view is not None and view is None:
        raise NotFound(f"no view {body.view!r}", mend=f"one of: {', '.join(all_views())}")
    first, second = two_runs(bench, body.run, body.a)
    lines, params = "", None
    if view is not None:
        try:
            params = view.Params.model_validate(body.params)
        except ValidationError as error:
            raise RequestValidationError(
                [{**each, "loc": ("body", "params", *each["loc"])} for each in error.errors()]
            ) from error
        lines = view.python(params, second is not None)

    def work(model: Model) -> list[str]:
        return [] if view is None else [str(each) for each in view.needs(model, params)]

    needs = await ask(request, bench.desk(first["model"]), work)
    folder = bench.book.tensors.root.resolve()
    return Code(code=Script(first, second, needs, lines, folder, bench.options).text())
