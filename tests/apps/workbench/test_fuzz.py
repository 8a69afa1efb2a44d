"""Requests made up from the OpenAPI document: whatever they say, the server does not fail."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from workbench_server import HOST, TOKEN, Server

from residuum.apps.workbench import openapi
from residuum.core import EDITS

EXAMPLES = 40
"""Requests for each operation: together a quarter of a minute."""
DOCUMENT = json.loads(Path(openapi.__file__).with_name("openapi.json").read_text("utf-8"))
OPERATIONS = [
    each["operationId"]
    for path in DOCUMENT["paths"].values()
    for each in path.values()
    if each["operationId"] != "followJob"  # a stream; jobs have tests of their own
]
KINDS = sorted(EDITS)
_SITES = ["L0.z", "L2.z[H3]@-1", "resid_post", "L1.resid_post", "L9.z", "L3.pattern", "logits"]
_NUMBERS: dict[str, Any] = {
    "anyOf": [
        {"type": "number"},
        {"type": "array", "items": {"type": "number"}, "maxItems": 20},
        {"enum": [[0.5] * 16, [0.5] * 128, None, "x", {"hash": "a" * 64}]},
    ]
}
EDIT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "kind": {"enum": KINDS},
        "at": {"enum": _SITES},
        **dict.fromkeys(("value", "directions", "matrix", "bias", "factor", "scale"), _NUMBERS),
        "seed": {"type": "integer"},
        "dictionary": {"type": "string"},
        "keep_error": {"type": "boolean"},
    },
    "required": ["kind", "at"],
    "additionalProperties": False,
}


def pointed(schema: Any, run: str, name: str = "") -> Any:
    """The document with real names in it, so that requests get past the first check."""
    if isinstance(schema, list):
        return [pointed(each, run) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "schema" in schema and "in" in schema:
        return {**schema, "schema": pointed(schema["schema"], run, schema["name"])}
    enums = {
        "model": ["microworld", "nobody"],
        "run": [run, "0" * 16],
        "minus": [run],
        "a": [run],
        "at": _SITES,
        "task": ["ioi", "induction", "nothing"],
        "n": [1, 2],
        "ids": [[1, 180, 544], [1, 180, 544, 517, 508, 495, 5], [], [1] * 65, None],
        "sites": ["z", "resid_post", "L0:2.mlp_out", "pattern", "nothing"],
    }
    if name in enums and ("type" in schema or "anyOf" in schema):
        return {"enum": enums[name]}
    if name == "name" and "maxLength" in schema:
        return {"enum": ["microworld", "nobody"]}
    return {key: pointed(each, run, key) for key, each in schema.items()}


@pytest.fixture(scope="module")
def api(server: Server, record: Any) -> Any:
    document = copy.deepcopy(server.app.openapi())
    document["components"]["schemas"] = {
        name: {**part, "properties": pointed(part.get("properties", {}), record["id"])}
        for name, part in document["components"]["schemas"].items()
    }
    document["paths"] = pointed(document["paths"], record["id"])
    for request in ("RunRequest", "CheckRequest"):
        edits = document["components"]["schemas"][request]["properties"]["edits"]
        edits["items"] = {"anyOf": [edits["items"], EDIT, EDIT, EDIT]}
    loaded = schemathesis.openapi.from_dict(document)
    loaded.app = server.app
    loaded.config.update(base_url=f"http://{HOST}")
    return loaded


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_request_makes_the_server_fail(api: Any, name: str) -> None:
    found = [each.ok() for each in api.get_all_operations()]
    (operation,) = [each for each in found if each.definition.raw["operationId"] == name]
    asked = 0

    @seed(0)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(operation.as_strategy())
    def ask(case: Any) -> None:
        nonlocal asked
        asked += 1
        headers = {"X-Residuum-Token": TOKEN}
        case.call_and_validate(headers=headers, checks=(not_a_server_error,))

    ask()
    assert asked
