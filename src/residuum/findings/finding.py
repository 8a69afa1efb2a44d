"""A finding: a narrow claim with its evidence, its controls, and what would refute it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from residuum.core import OptionError, Provenance, ResiduumError
from residuum.findings.record.budget import Budget
from residuum.findings.record.circuit_evidence import CircuitEvidence
from residuum.findings.record.composition_evidence import CompositionEvidence
from residuum.findings.record.controls_evidence import ControlsEvidence
from residuum.findings.record.direction_evidence import DirectionEvidence
from residuum.findings.record.evidence import (
    BehaviourEvidence,
    LensEvidence,
    Sample,
    WhereEvidence,
)
from residuum.findings.record.mechanism import Kind, Mechanism, Origin
from residuum.findings.record.part_evidence import PartsEvidence, RolesEvidence
from residuum.findings.record.plain import from_plain
from residuum.findings.record.record_file import RecordFile, write_files
from residuum.findings.record.robustness_evidence import RobustnessEvidence
from residuum.findings.record.rules import Rule, Status
from residuum.findings.record.ruling import check_ruling
from residuum.findings.record.shared_evidence import SharedEvidence
from residuum.findings.record.specificity_evidence import SpecificityEvidence
from residuum.findings.record.transfer_evidence import TransferEvidence
from residuum.findings.record.whole_evidence import WholeEvidence
from residuum.findings.report.head_pictures import head_bars
from residuum.findings.report.latex import report_latex
from residuum.findings.report.markdown import report_markdown
from residuum.findings.report.page import report_html

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Bars

SCHEMA = "residuum.finding/4"
FILED = RecordFile(SCHEMA, "finding", "investigate")
REPORT, MARKDOWN, LATEX = "report.html", "report.md", "tables.tex"


@dataclass(frozen=True)
class Finding:
    """What was found about one behaviour of one model.

    Shows: which parts (or which circuit or direction) move the answer on these pairs under these
    interventions, against random ones. Does not show: that others could not take over, or that the
    same holds where it was not tried; see ``scope`` and ``limits``.

    Attributes:
        claim: one sentence built from the evidence, or worded by hand: see :meth:`with_claim`.
        status: decided by ``rules``.
        falsifier: what would refute the claim.
        scope: what the claim is about.
        limits: what it does not say.
        origin: ``found`` by a search on the choosing half, or ``given`` by the caller.
        kind: of the mechanism: ``components``, ``circuit`` or ``direction``.
        components: addresses of the named heads and MLPs; empty where none is named.
        intervention: what was done to them.
        metric, unit: of the effects.
        budget: what was spent.
        stages: names of the further stages that were asked for.
        also: names of other models that were asked the same.
        rules: how the status was decided.
        behaviour, lens, where, parts, roles: the evidence; the later ones are None where the
            behaviour was absent.
        samples: some of the pairs, as text.
        task: the pairs as token ids, enough to run it again.
        provenance: model, weights, tokenizer, data, seed, software.
        claim_built: the sentence that was built, where ``claim`` is worded by hand; else None.
        given: the circuit or direction that was examined, as plain data.
        whole: what that circuit or direction does as a whole; ``parts`` and ``roles`` are None.
        circuit, shared, composition, direction, specificity, robustness, controls: evidence of the
            further stages; None where not asked for, or where the behaviour was absent.
        transfer: the finding on another model that was tried on this one, and what came of it.
    """

    claim: str
    status: Status
    falsifier: str
    scope: tuple[str, ...]
    limits: tuple[str, ...]
    origin: Origin
    kind: Kind
    components: tuple[str, ...]
    intervention: str
    metric: str
    unit: str
    budget: Budget
    stages: tuple[str, ...]
    also: tuple[str, ...]
    rules: tuple[Rule, ...]
    behaviour: BehaviourEvidence
    lens: LensEvidence
    where: WhereEvidence | None
    parts: PartsEvidence | None
    roles: RolesEvidence | None
    samples: tuple[Sample, ...]
    task: dict[str, Any]
    provenance: Provenance
    claim_built: str | None = None
    given: dict[str, Any] | None = None
    whole: WholeEvidence | None = None
    circuit: CircuitEvidence | None = None
    shared: SharedEvidence | None = None
    composition: CompositionEvidence | None = None
    direction: DirectionEvidence | None = None
    specificity: SpecificityEvidence | None = None
    robustness: RobustnessEvidence | None = None
    controls: ControlsEvidence | None = None
    transfer: TransferEvidence | None = None

    @property
    def mechanism(self) -> Mechanism:
        """What the claim names, ready to be examined elsewhere."""
        return Mechanism(self.kind, self.origin, self.components, self.given)

    def with_claim(self, text: str) -> Finding:
        """The same finding with its claim in other words; status and evidence stay as they are.

        The sentence that was built is kept as ``claim_built``, and the report shows both; given
        that sentence again, the finding is as it was. The hash is of the new content.

        Raises:
            OptionError: no text, or more than one paragraph.
        """
        words = text.strip() if isinstance(text, str) else ""
        if not words or "\n" in words:
            raise OptionError("a claim is one paragraph of text", mend="give a sentence or a few")
        built = self.claim_built or self.claim
        return replace(self, claim=words, claim_built=None if words == built else built)

    @property
    def movers(self) -> tuple[str, ...]:
        """Addresses of heads shown to move the answer from where it stands to the last token."""
        return self.roles.movers if self.roles else ()

    @property
    def hash(self) -> str:
        """SHA-256 over everything in it."""
        return self.to_json()["hash"]

    def to_json(self) -> dict[str, Any]:
        """Plain data with schema and hash; NaN as None."""
        return FILED.sealed(self)

    @staticmethod
    def from_json(data: Any, *, verify: bool = True) -> Finding:
        """Read what :meth:`to_json` wrote.

        The hash only tells an accident or a careless edit; it is no signature, and can be made
        anew. So rules and status are computed again from the evidence.

        Args:
            verify: refuse data that were changed after they were written, or that say what does
                not follow from their own evidence.

        Raises:
            StoreError: not a finding, another schema, an unknown key or a missing one.
            CheckFailed: its hash does not fit its content, or a rule, the status, the named parts
                or the verdict of a transfer do not follow from the evidence.
        """
        finding = from_plain(Finding, FILED.opened(data, verify=verify), "finding")
        if verify:
            check_ruling(finding)
        return finding

    @staticmethod
    def load(path: str | Path, *, verify: bool = True) -> Finding:
        """Read a finding from ``finding.json``, or from the folder that it lies in.

        Raises:
            LoadError: no such file, or not JSON.
            StoreError, CheckFailed: as :meth:`from_json`; ``where`` is the file.
        """
        data = FILED.read(path)
        try:
            return Finding.from_json(data, verify=verify)
        except ResiduumError as error:
            error.where = error.where or str(path)
            raise

    def save(self, folder: str | Path) -> Path:
        """Write the finding and its report into a folder, each file in full or not at all.

        ``finding.json`` is the finding; ``report.html`` the page, ``report.md`` the same as
        Markdown, ``tables.tex`` its tables in LaTeX.

        Returns:
            The path of ``finding.json``.

        Raises:
            CheckFailed: what it says does not follow from its evidence; nothing is written.
            StoreError: a folder that cannot be written to.
        """
        check_ruling(self)
        path = Path(folder) / FILED.name
        files = {
            path.name: FILED.text(self),
            REPORT: report_html(self, replay_path=str(path)).encode(),
            MARKDOWN: self.to_markdown(str(path)).encode(),
            LATEX: self.to_latex().encode(),
        }
        write_files(path.parent, files, "the finding")
        return path

    def to_markdown(self, replay_path: str = FILED.name) -> str:
        """The report as Markdown: its text and tables; pictures are named, not drawn.

        Args:
            replay_path: path of the JSON file for the replay command.
        """
        return report_markdown(self, replay_path)

    def to_latex(self) -> str:
        """The tables of the report in LaTeX; needs booktabs."""
        return report_latex(self)

    def figure(self) -> Bars:
        """The named heads' effects with intervals (the answer's own, if none is named)."""
        return head_bars(self)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each named part: what patching gains and each way of removal costs.

        Of a circuit or a direction one row: what it recovers, and what is lost with it.

        Columns: ``at``, ``patch``, ``recovered`` and a way each (``swapped``, …), with ``_low`` and
        ``_high``; ``p``, ``verdict``.
        """
        import pandas as pd

        if self.whole is not None:
            one = {"recovered": self.whole.recovered, "lost": self.whole.lost}
            row: dict[str, Any] = {"at": self.whole.name}
            for name, value in one.items():
                row |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
            return pd.DataFrame([row])
        rows = []
        for i, head in enumerate(self.parts.named if self.parts else ()):
            measured = {"patch": head.patch, "recovered": head.recovered}
            measured |= {each.how: each.alone[i] for each in self.parts.removals}  # type: ignore[union-attr]
            row = {"at": head.at}
            for name, value in measured.items():
                row |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
            rows.append(row | {"p": head.p, "verdict": head.verdict})
        return pd.DataFrame(rows)
