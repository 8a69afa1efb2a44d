"""The committed OpenAPI document is the server's: whatever changes it must be committed with it."""

from __future__ import annotations

import json
from pathlib import Path

from workbench_server import Server

from residuum.apps.workbench import openapi

COMMITTED = Path(openapi.__file__).with_name("openapi.json")


def test_no_drift() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == openapi.document(), (
        "python -m residuum.apps.workbench.openapi > src/residuum/apps/workbench/openapi.json, "
        "then npm run types in web/"
    )


def test_every_operation_has_a_name_and_typed_failures() -> None:
    document = json.loads(COMMITTED.read_text(encoding="utf-8"))
    operations = [each for path in document["paths"].values() for each in path.values()]
    names = [each["operationId"] for each in operations]
    assert len(names) == len(set(names)) > 20
    failure = {"$ref": "#/components/schemas/Failure"}
    for each in operations:
        assert "422" not in each["responses"], each["operationId"]
        told = each["responses"]["400"]["content"]["application/json"]["schema"]
        assert told == failure, each["operationId"]


def test_views_have_their_own_types() -> None:
    document = json.loads(COMMITTED.read_text(encoding="utf-8"))
    parts = document["components"]["schemas"]
    assert {"layer", "run", "minus"} <= set(parts["AttentionRequest"]["properties"])
    assert parts["AttentionRequest"]["additionalProperties"] is False
    assert {"tokens", "limit"} <= set(parts["AttentionMeta"]["properties"])


def test_the_server_sends_what_is_committed(server: Server) -> None:
    sent = server.get("/api/openapi.json")
    committed = json.loads(COMMITTED.read_text(encoding="utf-8"))
    assert sent["paths"] == committed["paths"] and sent["components"] == committed["components"]
