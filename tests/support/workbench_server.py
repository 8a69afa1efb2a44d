"""A workbench in this process, on the embedded model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient

from residuum.apps.workbench.app import create_app
from residuum.apps.workbench.bench import Bench
from residuum.apps.workbench.wire import unpack

TOKEN = "the-token-of-the-tests"
HOST = "127.0.0.1:8642"
PROMPT = "When Mary and John went to the store , John gave a drink to"


@dataclass(frozen=True)
class Server:
    """The app with a client that has the token."""

    bench: Bench
    app: FastAPI
    client: TestClient

    def post(self, url: str, **body: Any) -> Any:
        """What a POST answers; it must be right."""
        response = self.client.post(url, json=body)
        assert response.status_code == 200, response.text
        return response.json()

    def get(self, url: str, **query: Any) -> Any:
        """What a GET answers; it must be right."""
        response = self.client.get(url, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    def look(self, view: str, **body: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """A view's meta and arrays."""
        response = self.client.post(f"/api/views/{view}", json=body)
        assert response.status_code == 200, response.text
        return unpack(response.content)

    def run(self, text: str = PROMPT, *edits: dict[str, Any], **more: Any) -> Any:
        """The record of a run on microworld."""
        return self.post("/api/runs", model="microworld", text=text, edits=list(edits), **more)


def opened(folder: Path, **options: Any) -> Server:
    """A server on a store's folder, the model loaded."""
    bench = Bench(["microworld"], folder, **options)
    app = create_app(bench, TOKEN, [HOST, "localhost:8642", "[::1]:8642"], 8642)
    client = TestClient(
        app,
        base_url=f"http://{HOST}",
        headers={"X-Residuum-Token": TOKEN},
        raise_server_exceptions=False,
        follow_redirects=False,
    )
    bench.desk("microworld").submit(lambda model: model.adapted.weight_hash).result(60)
    return Server(bench, app, client)
