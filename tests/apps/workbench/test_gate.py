"""The gate where the table of routes does not reach: cookies, links, how tokens are compared."""

from __future__ import annotations

import inspect

import pytest
from fastapi.testclient import TestClient
from workbench_server import HOST, TOKEN, Server

from residuum.apps.workbench import gate
from residuum.core import OptionError


@pytest.fixture
def browser(server: Server) -> TestClient:
    """A client that knows nothing yet."""
    return TestClient(server.app, base_url=f"http://{HOST}", follow_redirects=False)


def test_the_link_gives_a_cookie_and_leaves_no_token_in_the_address(browser: TestClient) -> None:
    assert browser.get("/api/models").status_code == 401
    first = browser.get("/", params={"token": TOKEN})
    assert first.status_code == 303 and first.headers["location"] == "/"
    cookie = first.headers["set-cookie"]
    assert cookie.startswith("residuum-8642=") and "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower() and "Path=/" in cookie
    assert first.headers["cache-control"] == "no-store"
    assert browser.get("/api/models").status_code == 200


def test_a_wrong_link_gives_no_cookie(browser: TestClient) -> None:
    response = browser.get("/", params={"token": f"{TOKEN}x"})
    assert response.status_code == 401 and "set-cookie" not in response.headers
    assert "residuum serve printed last" in response.json()["mend"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {TOKEN}"},
        {"X-Residuum-Token": TOKEN},
        {"Cookie": f"other=1; residuum-8642={TOKEN}"},
        {"Cookie": f"residuum-8642={TOKEN}", "X-Residuum-Token": "wrong"},
    ],
)
def test_each_way_to_bring_the_token(browser: TestClient, headers: dict[str, str]) -> None:
    assert browser.get("/api/models", headers=headers).status_code == 200


def test_the_cookie_of_another_port_is_not_taken(browser: TestClient) -> None:
    headers = {"Cookie": f"residuum-8643={TOKEN}"}
    assert browser.get("/api/models", headers=headers).status_code == 401


@pytest.mark.parametrize("host", ["localhost:8642", "LOCALHOST:8642", "[::1]:8642"])
def test_loopback_names_with_the_port(browser: TestClient, host: str) -> None:
    headers = {"X-Residuum-Token": TOKEN, "Host": host, "Origin": f"http://{host}"}
    assert browser.get("/api/models", headers=headers).status_code == 200
    headers["Origin"] = f"http://{HOST}"
    assert browser.get("/api/models", headers=headers).status_code == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8642", "127.0.0.1", "127.0.0.1:8643", f"{HOST}.evil", ""]
)
@pytest.mark.parametrize("path", ["/", "/api/models"])
def test_other_hosts_are_refused(browser: TestClient, host: str, path: str) -> None:
    headers = {"X-Residuum-Token": TOKEN, "Host": host}
    response = browser.get(path, headers=headers)
    assert response.status_code == 403 and "host name" in response.json()["what"]


@pytest.mark.parametrize("origin", ["http://evil.example", f"https://{HOST}", "null"])
def test_other_origins_are_refused(browser: TestClient, origin: str) -> None:
    headers = {"X-Residuum-Token": TOKEN, "Origin": origin}
    response = browser.get("/api/models", headers=headers)
    assert response.status_code == 403 and "origin" in response.json()["what"]


def test_tokens_are_compared_in_constant_time() -> None:
    assert (
        gate.same(TOKEN, TOKEN) and not gate.same(TOKEN[:-1], TOKEN) and not gate.same("é", TOKEN)
    )
    assert "compare_digest" in inspect.getsource(gate.same)


def test_websockets_are_refused(browser: TestClient) -> None:
    from starlette.websockets import WebSocketDisconnect

    with pytest.raises(WebSocketDisconnect), browser.websocket_connect("/api/models"):
        pass


@pytest.mark.parametrize("body", [b'{"a": 1}', b'[1.5, "x", null]', '"é\U0001f600"'.encode()])
def test_ordinary_json_passes(body: bytes) -> None:
    gate.check_json(body)


@pytest.mark.parametrize("body", [b"NaN", b"[1e400]", b"-Infinity", b"{'a': 1}", b"\xff"])
def test_other_json_does_not(body: bytes) -> None:
    with pytest.raises(OptionError):
        gate.check_json(body)


def test_failures_of_the_server_itself_are_told_with_a_number(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(limit: int) -> None:
        raise KeyError("secret detail")

    monkeypatch.setattr(server.bench.book, "records", broken)
    response = server.client.get("/api/runs")
    body = response.json()
    assert response.status_code == 500 and "secret" not in response.text
    number = body["what"].rsplit(" ", 1)[1]
    assert number in caplog.text and "bug" in body["mend"]
    assert response.headers["x-content-type-options"] == "nosniff"
