"""Models that may be opened."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from residuum.apps.workbench.bench import Bench
from residuum.apps.workbench.desk import Desk
from residuum.apps.workbench.failures import body_of
from residuum.apps.workbench.routes.asking import TheBench, ask
from residuum.apps.workbench.schemas import Failure, ModelInfo, Models, OpenModel
from residuum.core import package_version
from residuum.runs import Model

router = APIRouter(prefix="/api", tags=["models"])


@router.get("/models", operation_id="listModels")
def list_models(bench: TheBench) -> Models:
    """The models that may be opened: those named at the start, and the embedded ones."""
    return _all(bench)


@router.post("/models", operation_id="openModel")
async def open_model(bench: TheBench, request: Request, body: OpenModel) -> Models:
    """Open a model, and wait until it is loaded and checked."""
    await ask(request, bench.open(body.name), lambda model: facts(model))
    return _all(bench)


def _all(bench: Bench) -> Models:
    desks = bench.desks
    infos = [_info(name, desks.get(name)) for name in bench.allowed]
    return Models(
        first=bench.named[0], current=bench.current, version=package_version(), models=infos
    )


def _info(name: str, desk: Desk | None) -> ModelInfo:
    if desk is None:
        return ModelInfo(name=name, loaded=False, state="closed")
    if desk.failure is not None:
        why = Failure(**body_of(desk.failure))
        return ModelInfo(name=name, loaded=False, state="failed", failure=why)
    if desk.model is None:
        return ModelInfo(name=name, loaded=False, state="loading")
    if "facts" not in desk.found:
        desk.found["facts"] = facts(desk.model)
    return ModelInfo(name=name, loaded=True, state="ready", **desk.found["facts"])


def facts(model: Model) -> dict[str, Any]:
    """What a model is, as plain data; hashing all weights takes time once."""
    d = model.dims
    return {
        "n_layers": d.n_layers,
        "n_heads": d.n_heads,
        "n_kv_heads": d.n_kv_heads,
        "d_model": d.d_model,
        "d_head": d.d_head,
        "d_mlp": d.d_mlp,
        "d_vocab": d.d_vocab,
        "n_ctx": d.n_ctx,
        "family": model.adapted.family.name,
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": str(model.device),
        "weight_hash": model.adapted.weight_hash,
        "parallel": any(layer.wiring == "parallel" for layer in model.adapted.parts.layers),
        "has_tokenizer": model.tokenizer is not None,
        "prepends_bos": model.prepends_bos,
        "sites": [str(site) for site in model.sites],
        "refused": {str(site): reason for site, reason in model.adapted.refused.items()},
    }
