"""The built pages: files of one folder and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from workbench_server import Server

from residuum.apps.workbench.routes import pages


@pytest.fixture
def static(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>page</title>")
    (folder / "assets" / "main-1a2b.js").write_text("export {}")
    (folder / ".hidden").write_text("no")
    (tmp_path / "secret.txt").write_text("the content")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    monkeypatch.setattr(pages, "STATIC", folder)
    return folder


def test_the_page_and_its_files(server: Server, static: Path) -> None:
    page = server.client.get("/")
    assert page.text == "<!doctype html><title>page</title>"
    assert page.headers["cache-control"] == "no-cache"
    assert page.headers["content-type"].startswith("text/html")
    script = server.client.get("/assets/main-1a2b.js")
    assert script.text == "export {}" and "immutable" in script.headers["cache-control"]
    assert script.headers["content-type"].startswith("text/javascript")


def test_pages_need_no_token(server: Server, static: Path) -> None:
    assert server.client.get("/", headers={"X-Residuum-Token": ""}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/secret.txt", "/link.txt", "/.hidden", "/assets", "/assets/", "/../secret.txt",
        "/..%2fsecret.txt", "/assets/..%2f..%2fsecret.txt", "/%2e%2e%2fsecret.txt",
        "/assets/%2e%2e/index.html", "/index.html%00", "/ASSETS/main-1a2b.js",
    ],
)  # fmt: skip
def test_nothing_else_is_served(server: Server, static: Path, path: str) -> None:
    response = server.client.get(path)
    assert response.status_code == 404 and "the content" not in response.text


def test_without_built_pages_it_says_how_to_build_them(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "STATIC", tmp_path / "none")
    response = server.client.get("/")
    assert response.status_code == 200 and "npm run build" in response.text
