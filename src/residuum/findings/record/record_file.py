"""The JSON file of a finding or an audit: an envelope of schema, hash and body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from residuum.core import CheckFailed, LoadError, StoreError, content_hash
from residuum.findings.record.plain import to_plain
from residuum.stores.atomic import write_atomically


@dataclass(frozen=True)
class RecordFile:
    """How records of one kind are filed.

    Attributes:
        schema: name and version of the kind.
        body: key of the record in its envelope; ``BODY.json`` is its file.
        verb: the command that writes it.
    """

    schema: str
    body: str
    verb: str

    @property
    def name(self) -> str:
        """Of the file in a folder."""
        return f"{self.body}.json"

    @property
    def noun(self) -> str:
        """What it is, in an error."""
        return f"{'an' if self.body[0] in 'aeiou' else 'a'} {self.body}"

    def sealed(self, record: Any) -> dict[str, Any]:
        """A record in its envelope, as plain data; NaN as None."""
        data = to_plain(record)
        return {"schema": self.schema, "hash": content_hash(data), self.body: data}

    def text(self, record: Any) -> bytes:
        """The file of a record."""
        sealed = self.sealed(record)
        return f"{json.dumps(sealed, ensure_ascii=False, allow_nan=False, indent=1)}\n".encode()

    def opened(self, data: Any, *, verify: bool = True) -> Any:
        """The plain data of a record out of its envelope.

        Raises:
            StoreError: another envelope, or another schema.
            CheckFailed: with ``verify``, a hash that does not fit.
        """
        keys = ("schema", "hash", self.body)
        if not isinstance(data, dict) or set(data) != set(keys):
            raise StoreError(
                f"not {self.noun}: its keys are not {', '.join(keys)}",
                mend=f"give the {self.name} that {self.verb} wrote",
            )
        if data["schema"] != self.schema:
            raise StoreError(
                f"{self.noun} of schema {data['schema']!r}, this version reads {self.schema!r}",
                mend=f"{self.verb} again, or read it with the version that wrote it",
            )
        if verify and content_hash(data[self.body]) != data["hash"]:
            raise CheckFailed(
                f"the {self.body} was changed after it was written: its hash does not fit",
                mend=f"{self.verb} again, or take the file as it was written",
            )
        return data[self.body]

    def read(self, path: str | Path) -> Any:
        """What the file holds, given itself or by its folder.

        Raises:
            LoadError: no such file, or not JSON.
        """
        path = Path(path)
        path = path / self.name if path.is_dir() else path
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else f"not JSON, {error}"
            raise LoadError(
                f"cannot read {self.noun}: {reason}",
                mend=f"give the {self.name} that residuum {self.verb} wrote",
                where=str(path),
            ) from error


def write_files(folder: Path, files: Mapping[str, bytes], what: str) -> None:
    """Write files into a folder, which is made; each in full or not at all.

    Args:
        folder: where to.
        files: name -> content, in the order of writing.
        what: they are, in an error: ``the finding``.

    Raises:
        StoreError: a folder that cannot be made or written to.
    """
    try:
        for name, content in files.items():
            write_atomically(folder / name, content)
    except OSError as error:
        raise StoreError(
            f"cannot write {what}: {error.strerror}",
            mend="give a folder that can be made and written to",
            where=str(folder),
        ) from error
