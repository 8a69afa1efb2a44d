"""From a behaviour to a claim that someone else can check: investigate, report, replay."""

from residuum.findings.chain.halves import halves
from residuum.findings.chain.investigation import examine, investigate
from residuum.findings.finding import SCHEMA, Finding
from residuum.findings.record.budget import BUDGETS, Budget
from residuum.findings.record.rules import Rule, Status
from residuum.findings.registry.registry import Registry, registry
from residuum.findings.replaying.replay import Replay, replay
from residuum.findings.replaying.transfer import transfer

__all__ = [
    "BUDGETS",
    "SCHEMA",
    "Budget",
    "Finding",
    "Registry",
    "Replay",
    "Rule",
    "Status",
    "examine",
    "halves",
    "investigate",
    "registry",
    "replay",
    "transfer",
]
