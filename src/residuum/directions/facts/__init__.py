"""Stored facts: trace where one is recalled, edit it in the weights, judge the edit."""

from residuum.directions.facts.capacity import FactCapacity, fact_capacity
from residuum.directions.facts.corruption import Noise, OtherSubject
from residuum.directions.facts.edit import FactEdit
from residuum.directions.facts.editing import edit_facts
from residuum.directions.facts.fact import Fact, microworld_facts
from residuum.directions.facts.methods import Memit, Rome
from residuum.directions.facts.scores import FactScores
from residuum.directions.facts.trace import FactTrace
from residuum.directions.facts.tracing import trace_fact
from residuum.directions.facts.values import ValueSearch

__all__ = [
    "Fact",
    "FactCapacity",
    "FactEdit",
    "FactScores",
    "FactTrace",
    "Memit",
    "Noise",
    "OtherSubject",
    "Rome",
    "ValueSearch",
    "edit_facts",
    "fact_capacity",
    "microworld_facts",
    "trace_fact",
]
