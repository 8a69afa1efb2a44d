"""What computed the numbers: versions, and a hash of this package's sources."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path

from residuum.core import package_version


@cache
def code_hash() -> str:
    """SHA-256 over this package's sources: a stage is only reused by the code that made it."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def software() -> dict[str, str]:
    """Versions of what computed the numbers."""
    packages = {name: version(name) for name in ("torch", "transformers", "numpy")}
    return {"residuum": package_version(), "python": platform.python_version(), **packages}
