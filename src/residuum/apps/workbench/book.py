"""The book of runs: records on disk, captured tensors in memory as long as there is room.

A run is immutable, and its id is the first 16 digits of the library's own ``Run.hash``. What is
captured of it can be made again at any time, so it lives in a cache bounded in bytes; the record
and the tensors of its edits live in the store's folder.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from residuum.apps.workbench.bases import best_base
from residuum.apps.workbench.refusals import Conflict, NotFound
from residuum.apps.workbench.sizes import captured_bytes
from residuum.apps.workbench.store_folder import RUNS, TENSORS, in_use, made, on_disk
from residuum.core import Address, Edit, OptionError, TensorRef
from residuum.models import Batch
from residuum.runs import Model, Run
from residuum.stores import RunHistory, TensorStore

ROOM = 256 << 20
"""Bytes of captured tensors and logits kept in memory; the newest run is kept in any case."""
LARGEST = 1 << 30
"""Bytes of one run's captured tensors: what needs more is refused before the pass."""
ID_DIGITS = 16


@dataclass(frozen=True)
class Made:
    """A run, and what it took to have it.

    Attributes:
        run: with everything that was asked for captured.
        passes: forward passes made now, counted by blocks; 0 when all of it was in memory.
        took_ms: for them.
    """

    run: Run
    passes: float
    took_ms: float

    @property
    def id(self) -> str:
        """First digits of the run's hash."""
        return self.run.hash[:ID_DIGITS]


class Book:
    """Runs by id.

    Args:
        folder: of the store; made if missing, readable by its owner only.
        room: bytes of captured tensors and logits to keep in memory; the newest run is kept in any
            case.
        largest: bytes of them that one run may have.

    Raises:
        StoreError: the folder cannot be written to; the history in it is damaged.
        OptionError: it is being tidied.
    """

    def __init__(self, folder: str | Path, room: int = ROOM, largest: int = LARGEST) -> None:
        self.folder = made(folder)
        self.tensors = TensorStore(self.folder / TENSORS)
        self.room, self.largest = room, largest
        self._history = RunHistory(self.folder / RUNS)
        self._keys: dict[str, str] = {}
        self._seen: set[str] = set()
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._lock = threading.Lock()
        self._held = ExitStack()
        self._held.enter_context(in_use(self.folder))
        self._read_on()

    # -- records -----------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """How many runs there are."""
        with self._lock:
            self._read_on()
            return len(self._keys)

    def close(self) -> None:
        """Let go of the folder."""
        self._held.close()

    def records(self, limit: int) -> list[dict[str, Any]]:
        """The newest records, newest first."""
        with self._lock:
            self._read_on()
            newest = list(self._keys.values())[::-1][:limit]
            return [self._history[key] for key in newest]

    def record(self, ident: str) -> dict[str, Any]:
        """One record.

        Raises:
            NotFound: no run of this id.
        """
        with self._lock:
            self._read_on()
            if ident not in self._keys:
                raise NotFound(f"there is no run {ident!r}", mend="GET /api/runs lists the history")
            return self._history[self._keys[ident]]

    def write(self, record: dict[str, Any]) -> dict[str, Any]:
        """Add a record, unless its run is there; the one that is there then."""
        with self._lock:
            self._read_on()
            if record["id"] not in self._keys:
                with on_disk(self.folder):
                    self._history.append(record)
                self._read_on()
            return self._history[self._keys[record["id"]]]

    def _read_on(self) -> None:
        """Take up what was added since, by this server or another on the same folder."""
        for key in self._history:
            if key not in self._seen:
                self._seen.add(key)
                self._keys.setdefault(self._history[key]["id"], key)

    # -- runs --------------------------------------------------------------------------------

    def make(
        self, model: Model, ids: Sequence[int], edits: Sequence[Edit], needs: Iterable[str] = ()
    ) -> Made:
        """A run with these sites captured, from memory where they are there; on the desk's thread.

        Raises:
            ResiduumError: what the library refuses; more captured bytes than there is room for.
        """
        for edit in edits:
            for ref in edit.tensors().values():
                self.keep(ref)
        batch = Batch(torch.tensor([list(ids)]))
        wanted = self._wanted(model, needs, len(ids))
        key = Run(batch, None, tuple(edits), {}, {}, model.provenance).hash
        with self._lock:
            known = self._runs.get(key)
            others = list(self._runs.values())
        missing = [each for each in wanted if known is None or not _has(known, each)]
        if known is not None and not missing:
            self._keep(key, known)
            return Made(known, 0.0, 0.0)
        streams = [] if known is not None else [at for at in model.sites if at.name == "resid_pre"]
        capture = list(dict.fromkeys([*missing, *streams]))
        base = best_base(model, batch.ids, edits, missing, others)
        start = perf_counter()
        new = model.run(batch.ids, edits=edits, capture=capture, logits=known is None, after=base)
        took, passes = 1000 * (perf_counter() - start), new.passes
        if known is not None:
            new = replace(known, captured={**known.captured, **new.captured})
        self._keep(key, new)
        return Made(new, passes, took)

    def again(self, model: Model, record: dict[str, Any], needs: Iterable[str] = ()) -> Made:
        """The run of a record, made again if it is no longer in memory; on the desk's thread.

        Raises:
            Conflict: with today's weights it is another run.
        """
        again = self.make(model, record["ids"], self.edits(record["edits"]), needs)
        if again.run.hash != record["hash"]:
            raise Conflict(
                f"run {record['id']} cannot be made again: {model.name} has other weights now",
                mend="open the model that it was made with, or run the prompt again",
            )
        return again

    def edits(self, rows: Sequence[dict[str, Any]]) -> tuple[Edit, ...]:
        """Edits of a record or a request, with the numbers they refer to.

        Raises:
            EditError, AddressError, ShapeError, StoreError: which edit cannot be read, and why.
        """
        from residuum.apps.workbench.edit_rows import read_edits

        return read_edits(rows, self.tensors)

    def keep(self, value: Any) -> TensorRef:
        """Put a tensor into the store; see :meth:`residuum.TensorStore.put`.

        Raises:
            ShapeError: it is no tensor of finite numbers.
            StoreError: the disk does not take it.
        """
        with on_disk(self.folder):
            return self.tensors.put(value)

    def _wanted(self, model: Model, needs: Iterable[str], length: int) -> list[Address]:
        found: dict[Address, None] = {}
        for query in needs:
            found |= dict.fromkeys(Address.parse(query).expand(model.sites, model.n_layers))
        asked = sum(captured_bytes(model, each, length) for each in found)
        if asked > self.largest:
            raise OptionError(
                f"this view of {length} tokens needs {asked / 1e9:.1f} GB of memory, "
                f"{self.largest / 1e9:.1f} GB are allowed",
                mend="shorten the prompt, or look at fewer layers",
            )
        return list(found)

    def _keep(self, key: str, run: Run) -> None:
        with self._lock:
            self._runs[key] = run
            self._runs.move_to_end(key)
            while len(self._runs) > 1 and _bytes(self._runs.values()) > self.room:
                self._runs.popitem(last=False)


def now() -> str:
    """This moment, UTC, in ISO format."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _has(run: Run, address: Address) -> bool:
    return address in run.captured or address.base in run.captured


def _bytes(runs: Iterable[Run]) -> int:
    """What they hold in memory: whole storages, each once, since a captured part holds its whole.

    Runs that went on from one another share tensors.
    """
    held = [each for run in runs for each in (run.logits, *run.captured.values())]
    storages = [each.untyped_storage() for each in held if isinstance(each, Tensor)]
    return sum({each.data_ptr(): each.nbytes() for each in storages}.values())
