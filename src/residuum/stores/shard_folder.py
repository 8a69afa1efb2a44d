"""A folder of numbered shards that belongs to one piece of work, and says so in a record."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from residuum.core import StoreError
from residuum.stores.atomic import write_atomically

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class ShardFolder:
    """Where the shards of one harvest lie.

    Attributes:
        path: the folder.
        record_name: file that says whose shards they are.
    """

    path: Path
    record_name: str

    def shard(self, index: int) -> Path:
        """The file of a shard."""
        return self.path / f"shard-{index:06d}{SUFFIX}"

    def missing(self, count: int) -> tuple[int, ...]:
        """Those of the first ``count`` shards that are not finished."""
        return tuple(i for i in range(count) if not self.shard(i).is_file())

    def claim(
        self,
        record: dict[str, Any],
        differ: Callable[[dict[str, Any], dict[str, Any]], list[str]],
        *,
        empty: bool = False,
    ) -> None:
        """Begin the folder with this record, or go on in it.

        Args:
            differ: names what differs between the record found and this one.
            empty: a folder without a record must hold nothing at all, not only no shards.

        Raises:
            StoreError: the folder holds something else, or cannot be read or written.
        """
        path = self.path / self.record_name
        try:
            if not path.exists():
                self._need_free(empty)
                write_atomically(path, (json.dumps(record) + "\n").encode())
            found = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(found, dict):
                raise ValueError(f"{self.record_name} is damaged")
        except (OSError, ValueError) as error:
            raise StoreError(
                f"the folder of activations cannot be used: {_reason(error)}",
                mend="give an empty folder, or one that does not exist yet",
                where=str(self.path),
            ) from error
        names = differ(found, record)
        if names:
            raise StoreError(
                f"the folder holds another harvest: {', '.join(names)} differ",
                mend="give another folder; this one belongs to another model, data or sites",
                where=str(self.path),
            )

    def finish(self, index: int, write: Callable[[Path], Any]) -> None:
        """Write a shard; when this returns, a kill does not lose it.

        Raises:
            StoreError: the disk does not take it.
        """
        self._write(self.shard(index), write, f"shard {index}")
        for left_by_a_kill in self.path.glob(f".{self.shard(index).name}.*"):
            left_by_a_kill.unlink(missing_ok=True)

    def note(self, name: str, data: Any) -> None:
        """Keep plain data beside the shards, as ``name.json``.

        Raises:
            StoreError: the disk does not take it.
        """
        text = (json.dumps(data) + "\n").encode()
        self._write(self.path / f"{name}.json", lambda path: write_atomically(path, text), name)

    def _write(self, path: Path, write: Callable[[Path], Any], what: str) -> None:
        try:
            write(path)
        except OSError as error:
            raise StoreError(
                f"cannot write {what}: {error.strerror}",
                mend="free some space and start again; finished shards are kept",
                where=str(self.path),
            ) from error

    def not_there(self, index: int) -> StoreError:
        """The error of a shard that is not finished."""
        return StoreError(
            f"shard {index} is not there", mend="harvest again; finished shards are kept",
            where=str(self.shard(index)),
        )  # fmt: skip

    def damaged(self, index: int, how: str) -> StoreError:
        """The error of a shard whose bytes are not what was written."""
        return StoreError(
            f"shard {index} is damaged: {how}",
            mend=f"delete {self.shard(index).name} and harvest again; the others are kept",
            where=str(self.shard(index)),
        )  # fmt: skip

    def _need_free(self, empty: bool) -> None:
        if not self.path.is_dir():
            return
        if any(self.path.glob("shard-*")):
            raise ValueError("it has shards but no record")
        other = next((each.name for each in sorted(self.path.iterdir()) if each.name[0] != "."), "")
        if empty and other:
            raise ValueError(f"it holds other files, such as {other!r}")


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return "its record is damaged"
    return str(error)
