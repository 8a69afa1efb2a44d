"""The dictionaries inside the package, by name."""

from __future__ import annotations

from pathlib import Path

EMBEDDED_DICTIONARIES = {"microworld-sae": "microworld-sae"}
"""Name -> folder below the package's ``assets``."""
_ASSETS = Path(__file__).resolve().parents[2] / "assets"


def embedded_dictionary(name: str) -> Path | None:
    """Folder of a dictionary inside the package; None where none has this name.

    >>> embedded_dictionary("microworld-sae").name, embedded_dictionary("other")
    ('microworld-sae', None)
    """
    folder = EMBEDDED_DICTIONARIES.get(name)
    return None if folder is None else _ASSETS / folder
