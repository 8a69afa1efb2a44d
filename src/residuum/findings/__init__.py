"""From a behaviour to a claim that someone else can check: investigate, report, replay."""

from residuum.findings.budget import BUDGETS, Budget
from residuum.findings.finding import SCHEMA, Finding
from residuum.findings.investigation import investigate
from residuum.findings.replaying import Replay, replay
from residuum.findings.rules import Rule, Status

__all__ = [
    "BUDGETS",
    "SCHEMA",
    "Budget",
    "Finding",
    "Replay",
    "Rule",
    "Status",
    "investigate",
    "replay",
]
