"""A registry: findings in a local folder, each under the hash of its content."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from residuum.core import OptionError
from residuum.core.paths import as_path
from residuum.figures import Column, Table
from residuum.findings.finding import FILED, Finding
from residuum.findings.record.record_file import write_files
from residuum.findings.record.ruling import check_ruling
from residuum.findings.record.words import model_name, short
from residuum.findings.registry.comparison import Comparison, compared
from residuum.findings.registry.contradiction import Contradictions
from residuum.findings.registry.contradictions import contradictions_among
from residuum.findings.registry.entry import Entry, Query
from residuum.findings.registry.index import FINDINGS, Damaged, read_index

if TYPE_CHECKING:
    import pandas as pd

_LEAST_PREFIX = 4


def registry(folder: str | Path) -> Registry:
    """A folder of findings: added by copy, searched, compared, held against each other.

    Args:
        folder: made when the first finding is added.

    Returns:
        The registry. What lies in the folder is read whenever it is asked: another process may
        add to it at the same time.

    Raises:
        StoreError: no path.

    >>> import residuum as rz, tempfile
    >>> kept = rz.registry(tempfile.mkdtemp() + "/findings")
    >>> model = rz.load("microworld")
    >>> added = kept.add(rz.investigate(model, "ioi", stages=()))
    >>> [each.hash for each in kept.search(task="ioi")] == [added.hash]
    True
    """
    return Registry(as_path(folder))


class Registry:
    """Findings in a folder; see :func:`registry`.

    Shows: what was found, and what does not go together. Does not show: which of two findings is
    right.

    Args:
        folder: ``findings/HASH.json`` for each finding, and ``index.json``, which is rebuilt from
            these files where it does not fit them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __repr__(self) -> str:
        return f"Registry({str(self.folder)!r})"

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All findings, by task, model and hash.

        Raises:
            StoreError: there is no registry in the folder.
        """
        return read_index(self.folder).entries

    @property
    def damaged(self) -> tuple[Damaged, ...]:
        """Files that are no finding, or were changed after they were written."""
        return read_index(self.folder).damaged

    def add(self, *findings: Finding | str | Path) -> Entry:
        """Copy findings into the folder; one that is there already is left as it is.

        All are read and checked before the first is written.

        Args:
            findings: findings, or paths of ``finding.json`` files or of folders that hold one.

        Returns:
            The entry of the last.

        Raises:
            LoadError, StoreError: a file that cannot be read.
            CheckFailed: one that was changed, or says what does not follow from its evidence.
            OptionError: nothing given.
        """
        read = [
            each if isinstance(each, Finding) else Finding.load(as_path(each)) for each in findings
        ]
        if not read:
            raise OptionError("nothing to add", mend="give a finding, or the path of one")
        for finding in read:
            check_ruling(finding)
        for finding in read:
            self._write(finding)
        return self._entry(read[-1].hash)

    def _write(self, finding: Finding) -> None:
        name = f"{FINDINGS}/{finding.hash}.json"
        write_files(self.folder, {name: FILED.text(finding)}, "to the registry")

    def search(
        self, *, model: str = "", task: str = "", status: str = "", component: str = "",
        text: str = "",
    ) -> tuple[Entry, ...]:  # fmt: skip
        """The findings that fit all that is asked.

        Args:
            model: part of the model's name, or the beginning of its weight hash.
            task: name of the task.
            status: ``supported``, ``not supported`` or ``undecided``.
            component: an address that is named, or a layer (``L2``).
            text: part of the claim, whatever its case.

        Raises:
            OptionError: no such status.
            StoreError: there is no registry in the folder.
        """
        query = Query(model, task, status, component, text)
        return tuple(each for each in self.entries if query.fits(each))

    def get(self, name: str) -> Finding:
        """A finding by its hash, or the beginning of it.

        Raises:
            OptionError: no finding of this name, or several.
            StoreError: there is no registry in the folder.
            CheckFailed: its file was changed after it was written.
        """
        return Finding.load(self.folder / FINDINGS / f"{self._entry(name).hash}.json")

    def _entry(self, name: str) -> Entry:
        entries = self.entries
        fitting = [each for each in entries if each.hash.startswith(name)]
        if len(name) < _LEAST_PREFIX or not fitting:
            known = ", ".join(each.short for each in entries[:6]) or "none"
            raise OptionError(
                f"no finding {name!r} in this registry",
                mend=f"give {_LEAST_PREFIX} characters or more of a hash; there are: {known}",
                where=str(self.folder),
            )
        if len(fitting) > 1:
            raise OptionError(
                f"{len(fitting)} findings begin with {name!r}",
                mend=f"give more of it: {', '.join(each.short for each in fitting)}",
                where=str(self.folder),
            )
        return fitting[0]

    def compare(self, first: str, second: str) -> Comparison:
        """Two findings side by side: what agrees, what differs.

        Args:
            first, second: hashes, or the beginnings of them.

        Raises:
            OptionError: no finding of this name, or several.
        """
        return compared(self.get(first), self.get(second))

    def contradictions(self) -> Contradictions:
        """Pairs of findings that cannot both be taken at their word, by stated rules.

        Beside them, as no contradiction: supported findings that name no part in common.
        """
        return contradictions_among(self.entries)

    def figure(self) -> Table:
        """The findings as a table."""
        return entry_table(self.entries)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each finding, with the fields of :class:`Entry`."""
        import pandas as pd

        return pd.DataFrame([vars(each) for each in self.entries])


def entry_table(entries: tuple[Entry, ...], title: str = "Findings") -> Table:
    """Findings as a table.

    Args:
        entries: which.
        title: above it.
    """
    tried, worded = any(each.verdict for each in entries), any(each.claim_built for each in entries)
    names = ["finding", "task", "model", "status", *(["transfer"] if tried else []), "names"]
    rows = [
        [each.short, each.task, model_name(each.model),
         each.status + "*" * bool(each.claim_built),
         *([each.verdict or ""] if tried else []), _named(each)]
        for each in entries
    ]  # fmt: skip
    return Table(
        [Column(name) for name in names],
        rows,
        title=title,
        caption=f"{len(rows)} {'finding' if len(rows) == 1 else 'findings'}."
        + " *: its claim is worded by hand; the status belongs to the built one." * worded,
    )


def _named(entry: Entry) -> str:
    if entry.kind != "components":
        return f"a {entry.kind}"
    return " ".join(short(at) for at in entry.components) or "nothing"
