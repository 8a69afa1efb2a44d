"""Every route refuses what it must: the table is compared with the app, so none is forgotten."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from fastapi.routing import APIRoute
from route_rows import JOB, ROWS, RUN, SHORT
from workbench_server import HOST, Server

from residuum.apps.workbench.routes import all_routers
from residuum.apps.workbench.sizes import BODY_BYTES

Key = tuple[str, str]
KEYS = sorted(ROWS)
GUARDED = [key for key in KEYS if key[1].startswith("/api")]
POSTS = [key for key in KEYS if key[0] == "POST"]
BAD = [(key, index) for key in KEYS for index in range(len(ROWS[key].bad))]
URLS = [(key, *each) for key in KEYS for each in ROWS[key].urls]


@pytest.fixture(scope="module")
def names(server: Server, record: Any) -> dict[str, str]:
    sweep = {"model": "microworld", "task": "ioi", "n": 2, "only": {"layer": [0]}}
    return {
        RUN: record["id"],
        SHORT: server.run("Mary went to the store .")["id"],
        JOB: server.post("/api/sweeps", **sweep)["job"],
    }


def filled(data: Any, names: dict[str, str]) -> Any:
    text = json.dumps(data)
    for name, ident in names.items():
        text = text.replace(name, ident)
    return json.loads(text)


def call(server: Server, key: Key, data: Any, names: dict[str, str], **more: Any) -> Any:
    method, path = key
    url = filled(ROWS[key].url or path, names)
    kind = "params" if method in ("GET", "DELETE") else "json"
    return server.client.request(method, url, **{kind: filled(data, names)}, **more)


def refused(response: Any, status: int) -> dict[str, str]:
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"what", "mend", "where"} and body["what"] and body["mend"]
    assert "\n" not in body["what"] + body["mend"]
    return body


def test_every_route_has_a_row(server: Server) -> None:
    routes = [each for router in all_routers() for each in router.routes]
    assert all(isinstance(each, APIRoute) for each in routes)
    found = {(m, r.path) for r in routes if isinstance(r, APIRoute) for m in r.methods or ()}
    own = {("GET", getattr(each, "path", "")) for each in server.app.routes}
    assert found | own - {("GET", ""), ("GET", None)} == set(ROWS)


@pytest.mark.parametrize("key", KEYS)
def test_the_good_request_is_answered(server: Server, names: Any, key: Key) -> None:
    response = call(server, key, ROWS[key].good, names)
    assert response.status_code == ROWS[key].status, response.text
    assert response.headers["content-security-policy"].startswith("default-src 'self';")
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("key", GUARDED)
@pytest.mark.parametrize(
    "carried",
    [
        {"X-Residuum-Token": ""},
        {"X-Residuum-Token": "wrong"},
        {"X-Residuum-Token": "", "Authorization": "Bearer wrong"},
        {"X-Residuum-Token": "", "Cookie": "residuum-8642=wrong"},
        {"X-Residuum-Token": "", "Cookie": b"residuum-8642=\x80; ;=;"},
        {"X-Residuum-Token": "the-token-of-the-tests-and-more"},
    ],
)
def test_no_token_or_a_wrong_one(server: Server, names: Any, key: Key, carried: Any) -> None:
    refused(call(server, key, ROWS[key].good, names, headers=carried), 401)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8642", "127.0.0.1:1", "127.0.0.1.evil.example:8642", ""]
)
def test_foreign_host(server: Server, names: Any, key: Key, host: str) -> None:
    refused(call(server, key, ROWS[key].good, names, headers={"Host": host}), 403)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", f"https://{HOST}", ""]
)
def test_foreign_origin(server: Server, names: Any, key: Key, origin: str) -> None:
    refused(call(server, key, ROWS[key].good, names, headers={"Origin": origin}), 403)


def test_own_origin_is_let_in(server: Server, names: Any) -> None:
    headers = {"Origin": f"http://{HOST}"}
    key = ("GET", "/api/models")
    assert call(server, key, {}, names, headers=headers).status_code == 200


@pytest.mark.parametrize("key", KEYS)
def test_oversized_body(server: Server, names: Any, key: Key) -> None:
    url = filled(ROWS[key].url or key[1], names)
    big = b'{"text": "' + b"x" * BODY_BYTES + b'"}'
    kind = {"Content-Type": "application/json"}
    refused(server.client.request(key[0], url, content=big, headers=kind), 413)
    pieces = (big[i : i + 65536] for i in range(0, len(big), 65536))  # no length declared
    refused(server.client.request(key[0], url, content=pieces, headers=kind), 413)
    lie = {**kind, "Content-Length": "99999999999999999999"}
    refused(server.client.request(key[0], url, content=b"{}", headers=lie), 413)


@pytest.mark.parametrize("key", POSTS)
@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_not_declared_as_json(server: Server, names: Any, key: Key, kind: str) -> None:
    url = filled(ROWS[key].url or key[1], names)
    headers = {"Content-Type": kind}
    refused(server.client.post(url, content=b"{}", headers=headers), 415)


@pytest.mark.parametrize("key", POSTS)
@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe{}", "not Unicode"),
        (b'{"a": NaN}', "not finite"),
        (b'{"a": [1, -Infinity]}', "not finite"),
        (b'{"a": 1e999}', "not finite"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a": "\\ud800"}', "not Unicode"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
    ],
)
def test_not_json(server: Server, names: Any, key: Key, body: bytes, what: str) -> None:
    url = filled(ROWS[key].url or key[1], names)
    headers = {"Content-Type": "application/json"}
    answer = refused(server.client.post(url, content=body, headers=headers), 400)
    assert what in answer["what"]


@pytest.mark.parametrize("key", POSTS)
@pytest.mark.parametrize("body", [[], "text", 5, None, True])
def test_json_that_is_no_object(server: Server, names: Any, key: Key, body: Any) -> None:
    url = filled(ROWS[key].url or key[1], names)
    headers = {"Content-Type": "application/json"}
    response = server.client.post(url, content=json.dumps(body), headers=headers)
    refused(response, 404 if ROWS[key].status == 404 else 400)


@pytest.mark.parametrize(("key", "index"), BAD)
def test_bad_input(server: Server, names: Any, key: Key, index: int) -> None:
    change, status, what = ROWS[key].bad[index]
    answer = refused(call(server, key, {**ROWS[key].good, **change}, names), status)
    assert what in answer["what"] or what in answer["where"], answer
    assert not re.search(r"Traceback|File \"", answer["what"])


@pytest.mark.parametrize(("key", "url", "status"), URLS)
def test_bad_address(server: Server, key: Key, url: str, status: int) -> None:
    headers = {} if status != 401 else {"X-Residuum-Token": ""}
    body = {} if key[0] == "POST" else None
    response = server.client.request(key[0], url, json=body, headers=headers)
    refused(response, status)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE"])
def test_other_methods(server: Server, names: Any, key: Key, method: str) -> None:
    url = filled(ROWS[key].url or key[1], names)
    body = None if method == "TRACE" else {}
    response = server.client.request(method, url, json=body)
    refused(response, 415 if method == "TRACE" else 405)


def test_hostile_text_comes_back_as_data(server: Server) -> None:
    """Text of the client is told back as JSON alone, which no browser takes for a page."""
    hostile = "<img src=x onerror=alert(1)>"
    response = server.client.post("/api/tokens", json={"model": "microworld", "text": hostile})
    refused(response, 400)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-content-type-options"] == "nosniff"
