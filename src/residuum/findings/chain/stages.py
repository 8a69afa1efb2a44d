"""Stages that are not done twice: each one's result is kept under the hash of its inputs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from residuum.core import StoreError, content_hash
from residuum.findings.record.plain import from_plain, to_plain
from residuum.stores.atomic import write_atomically

R = TypeVar("R")
FOLDER = ".stages"


class Stages:
    """Results of finished stages in a folder; without a folder nothing is kept.

    Args:
        out: folder of the investigation, or None.
        inputs: what every stage depends on: model, data, budget, seed, versions.
    """

    def __init__(self, out: Path | None, inputs: dict[str, Any]) -> None:
        self._folder = None if out is None else _made(out / FOLDER)
        self._inputs = inputs
        self.reused: list[str] = []

    def run(
        self,
        name: str,
        kind: type[R],
        compute: Callable[[], R],
        extra: dict[str, Any] | None = None,
    ) -> R:
        """The stage's result: read if the same inputs were finished before, else computed.

        Args:
            name: of the stage.
            kind: record type of the result.
            compute: does the work.
            extra: what this stage depends on beside the common inputs.
        """
        inputs = {"stage": name, **self._inputs, **(extra or {})}
        path = None
        if self._folder is not None:
            path = self._folder / f"{name}-{content_hash(inputs)[:16]}.json"
            found = _kept(path, inputs, kind)
            if found is not None:
                self.reused.append(name)
                return found
        result = compute()
        if path is not None:
            data = {"inputs": inputs, "result": to_plain(result)}
            write_atomically(path, json.dumps(data, ensure_ascii=False).encode())
        return result


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot write to this folder: {error.strerror}",
            mend="give a folder that can be made and written to",
            where=str(folder.parent),
        ) from error
    return folder


def _kept(path: Path, inputs: dict[str, Any], kind: type[R]) -> R | None:
    """The kept result; None if there is none, or if the file is not what it should be."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["inputs"] != inputs:
            return None
        return from_plain(kind, data["result"])
    except (OSError, ValueError, KeyError, TypeError, StoreError):
        return None
