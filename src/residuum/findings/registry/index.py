"""The index of a registry: rebuilt from the files whenever it does not fit them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from residuum.core import ResiduumError, StoreError, content_hash
from residuum.findings.finding import FILED, Finding
from residuum.findings.record.plain import from_plain, to_plain
from residuum.findings.registry.entry import Entry, entry_of
from residuum.stores.atomic import write_atomically

INDEX, FINDINGS = "index.json", "findings"
SCHEMA = "residuum.registry/2"
_READS = f"{SCHEMA}, {FILED.schema}"
"""Of the index: what was remembered of findings of another schema is no longer known."""


@dataclass(frozen=True)
class Damaged:
    """A file among the findings that is none, or not the one that its name says.

    Attributes:
        name: of the file.
        why: in words.
    """

    name: str
    why: str


@dataclass(frozen=True)
class Index:
    """What lies in a registry.

    Attributes:
        entries: the findings, by task, model and hash.
        damaged: files that cannot be used.
    """

    entries: tuple[Entry, ...]
    damaged: tuple[Damaged, ...]


def read_index(folder: Path) -> Index:
    """What the files say. A file whose bytes the index knows is not read again.

    The index is only a memory: it is left aside where its own hash does not fit, and each entry
    where the file's bytes are not those that it was made from; then it is written anew.

    Raises:
        StoreError: no registry there, or a folder that cannot be read.
    """
    place = folder / FINDINGS
    if not place.is_dir():
        raise StoreError(
            "no registry of findings here",
            mend="make one by adding: residuum findings add FOLDER finding.json",
            where=str(folder),
        )
    known = _remembered(folder)
    entries: dict[str, Entry] = {}
    damaged = []
    seen: dict[str, Entry] = {}
    for path in sorted(place.glob("*.json")):
        try:
            data = path.read_bytes()
        except OSError as error:
            damaged.append(Damaged(path.name, f"cannot be read: {error.strerror}"))
            continue
        digest = hashlib.sha256(data).hexdigest()
        found = known.get(digest) or _read(data)
        if isinstance(found, str):
            damaged.append(Damaged(path.name, found))
        elif path.name != f"{found.hash}.json":
            damaged.append(Damaged(path.name, f"it holds finding {found.short}, not what it says"))
        else:
            entries[found.hash] = seen[digest] = found
    if seen != known:
        _remember(folder, seen)
    ordered = sorted(entries.values(), key=lambda each: (each.task, each.model, each.hash))
    return Index(tuple(ordered), tuple(damaged))


def _read(data: bytes) -> Entry | str:
    """What a file says, or why it cannot be used."""
    try:
        finding = Finding.from_json(json.loads(data))
    except ResiduumError as error:
        return error.what
    except ValueError as error:
        return f"not JSON: {error}"
    given = "" if finding.given is None else content_hash(finding.given)
    return entry_of(finding, given)


def _remembered(folder: Path) -> dict[str, Entry]:
    """SHA-256 of a file's bytes -> its entry, as the index says; empty if it cannot be trusted."""
    try:
        data = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if data["schema"] != _READS or data["hash"] != content_hash(data["entries"]):
            return {}
        return {
            digest: from_plain(Entry, each, "index") for digest, each in data["entries"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StoreError):
        return {}


def _remember(folder: Path, entries: dict[str, Entry]) -> None:
    """Write the index; a folder that cannot be written to is read without one."""
    data = to_plain(entries)
    whole = {"schema": _READS, "hash": content_hash(data), "entries": data}
    try:
        write_atomically(folder / INDEX, json.dumps(whole, ensure_ascii=False, indent=1).encode())
    except OSError:
        return
