"""Writes the OpenAPI document: ``python -m residuum.apps.workbench.openapi > openapi.json``."""

from __future__ import annotations

import json
import sys
import tempfile

from residuum.apps.workbench.app import create_app
from residuum.apps.workbench.bench import Bench
from residuum.core import LoadError
from residuum.runs import Model


def document() -> str:
    """The document as text; it depends on no model."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(["microworld"], folder, loader=_nothing)
        schema = create_app(bench, "", ()).openapi()
        bench.close()
    schema["info"]["version"] = "1"
    return json.dumps(schema, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _nothing(name: str) -> Model:
    raise LoadError(f"{name} is not opened here", mend="nothing to mend")


if __name__ == "__main__":
    sys.stdout.write(document())
