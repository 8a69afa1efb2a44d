"""The built pages: files of one folder and nothing else."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

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


@pytest.mark.parametrize(
    ("accepted", "wanted"),
    [
        ("gzip", True), ("br, gzip;q=0.5", True), ("*", True), ("GZIP", True),
        ("", False), ("br", False), ("gzip;q=0", False), ("*, gzip; q=0.0", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/assets/main-1a2b.js"])
def test_text_is_compressed_for_those_who_take_it(
    server: Server, static: Path, path: str, accepted: str, wanted: bool
) -> None:
    whole = (static / (path[1:] or "index.html")).read_bytes()
    with server.client.stream("GET", path, headers={"Accept-Encoding": accepted}) as response:
        raw = b"".join(response.iter_raw())
        assert response.headers["vary"] == "Accept-Encoding"
        assert response.headers["content-length"] == str(len(raw))
        assert response.headers.get("content-encoding") == ("gzip" if wanted else None)
    assert (gzip.decompress(raw) if wanted else raw) == whole


def test_a_file_is_compressed_once_and_again_when_it_changes(
    server: Server, static: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, plain = [], gzip.compress
    monkeypatch.setattr(gzip, "compress", lambda *a, **k: made.append(1) or plain(*a, **k))
    for _ in range(3):
        server.client.get("/assets/main-1a2b.js")
    assert len(made) == 1
    (static / "assets" / "main-1a2b.js").write_text("export const other = 1")
    assert server.client.get("/assets/main-1a2b.js").text == "export const other = 1"


def test_the_built_page_is_small_on_the_wire(server: Server) -> None:
    scripts = [each for each in pages.built() if each.endswith(".js")]
    if not scripts:
        pytest.skip("the pages are not built")
    largest = max(scripts, key=lambda name: pages.built()[name].stat().st_size)
    response = server.client.get(f"/{largest}", headers={"Accept-Encoding": "gzip"})
    assert int(response.headers["content-length"]) < len(response.content) / 2


def test_pictures_and_binary_arrays_stay_as_they_are(
    server: Server, static: Path, record: Any
) -> None:
    (static / "picture.png").write_bytes(b"\x89PNG" + bytes(5000))
    for response in (
        server.client.get("/picture.png"),
        server.client.post("/api/views/attention", json={"run": record["id"]}),
    ):
        assert response.status_code == 200 and "content-encoding" not in response.headers
