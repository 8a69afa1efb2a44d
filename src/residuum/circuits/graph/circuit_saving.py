"""The formats that a circuit is written in, by the suffix of the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

from residuum.circuits.graph.network import write_graphml
from residuum.core import OptionError, StoreError
from residuum.core.paths import as_path, writing
from residuum.core.saving import Saveable, save_result


class Circuit(Saveable, Protocol):
    """What is written of a circuit."""

    def to_mib(self) -> dict[str, Any]:
        """In the MIB benchmark's layout."""
        ...

    def to_networkx(self, whole: bool) -> Any:
        """As a network."""
        ...


def save_circuit(circuit: Circuit, path: str | Path) -> None:
    """Write ``.mib.json``, ``.graphml``, or what every result can be written as.

    Raises:
        OptionError: another suffix.
        StoreError: a path that cannot be written to.
    """
    name = str(path)
    if name.endswith(".json"):
        data = circuit.to_mib() if name.endswith(".mib.json") else circuit.to_json()
        write_json(data, path)
    elif name.endswith(".graphml"):
        with writing(path) as target:
            write_graphml(circuit.to_networkx(True), target)
    elif as_path(path).suffix not in (".csv", ".html", ".svg", ".png"):
        raise OptionError(
            f"cannot save a circuit as {as_path(path).suffix or 'a file without suffix'!r}",
            mend="use .json, .mib.json, .graphml, .csv, .html, .svg or .png",
        )
    else:
        save_result(circuit, path, "a circuit")


def write_json(data: Any, path: str | Path) -> None:
    """Write plain data in one line: with a number for each edge, one for each line is no help.

    Raises:
        StoreError: a path that cannot be written to.
    """
    with writing(path) as target:
        target.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")


def read_json(path: str | Path, noun: str) -> Any:
    """The data in a file.

    Args:
        noun: what it is read as, in an error.

    Raises:
        StoreError: no such file, or no JSON.
    """
    try:
        return json.loads(as_path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StoreError(
            f"there is no such file, so it cannot be read as {noun}",
            mend="give a file that save(...) wrote",
            where=str(path),
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(
            f"cannot be read as {noun}: {error}",
            mend="give a file that save(...) wrote",
            where=str(path),
        ) from error
