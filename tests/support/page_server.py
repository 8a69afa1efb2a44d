"""A workbench in a process of its own, and the browser that looks at it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from page_hands import Hands

from residuum.apps.workbench.wire import unpack

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]
SERVE = "import sys; from residuum.apps.cli import main; sys.exit(main())"

Visit = Callable[..., Hands]


@dataclass(frozen=True)
class Served:
    """A server as `residuum serve` starts it: its link, and its API for comparing."""

    link: str
    api: httpx.Client

    def linked(self, url: str) -> str:
        """The link that a person opens who was sent this address."""
        return self.link + url[url.index("#") :]

    def look(self, view: str, **body: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """A view's meta and arrays."""
        return unpack(self.api.post(f"/api/views/{view}", json=body).raise_for_status().content)

    def record(self, run: str) -> dict[str, Any]:
        """A run of the history."""
        return self.api.get(f"/api/runs/{run}").raise_for_status().json()


@contextmanager
def serving(model: str, store: Path) -> Iterator[Served]:
    """Serve a model on a free port until the block ends."""
    words = ["serve", model, "--no-browser", "--port", "0", "--store", str(store)]
    command = [sys.executable, "-c", SERVE, *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, "the server printed no link"
        origin, _, token = found[0].partition("/?token=")
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=origin, headers=headers, timeout=120) as api:
            yield Served(found[0], api)
    finally:
        process.terminate()
        process.wait(20)
