"""Which model comes first stays known after another is opened."""

from __future__ import annotations

from pathlib import Path

from workbench_server import opened


def test_first_is_the_one_named_first_and_current_the_one_opened_last(tmp_path: Path) -> None:
    server = opened(tmp_path)
    try:
        before = server.get("/api/models")
        other = next(each["name"] for each in before["models"] if each["name"] != before["first"])
        assert before["first"] == before["current"] == server.bench.named[0]
        after = server.client.post("/api/models", json={"name": other}).json()
        assert (after["first"], after["current"]) == (before["first"], other)
    finally:
        server.bench.close()
