"""What a trial is asked for: options that are none are refused, with the number it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.judging.distinct_pairs import DistinctPairs
from residuum.circuits.trial.significance import draws_needed, pairs_needed
from residuum.circuits.trial.verdict import TESTS
from residuum.circuits.trial.verdicts import Rules
from residuum.core import OptionError, TaskError
from residuum.runs import Model, metric_named, shown, whole_number

UNITS = ("pair", "template")


def check_circuit(circuit: Any, model: Model) -> None:
    """Refuse what is no circuit of this model, or an empty one.

    Raises:
        OptionError: no circuit, or no edges.
        LoadError: of another model.
    """
    if not isinstance(circuit, Circuit):
        raise OptionError(
            f"trial needs a circuit, got {shown(circuit)}",
            mend="find one with rz.discover(model, task), or load it with rz.load_circuit(file)",
        )
    circuit.need_edges()
    circuit.check_fits(model)


def names_of(given: Any, name: str, known: Sequence[str]) -> tuple[str, ...]:
    """Some of the known names, each once.

    Raises:
        OptionError: none, an unknown one, or one twice.
    """
    texts = (given,) if isinstance(given, str) else given
    found = tuple(texts) if isinstance(texts, Sequence) else ()
    if not found or any(each not in known for each in found) or len(set(found)) < len(found):
        raise OptionError(
            f"{name}={shown(given)}", mend=f"give some of {', '.join(known)}, each once"
        )
    return found


def required_tests(given: Any) -> tuple[str, ...]:
    """Tests that must hold, in their order; as :func:`names_of`."""
    found = names_of(given, "required", TESTS)
    return tuple(each for each in TESTS if each in found)


def rules_of(
    pairs: DistinctPairs,
    metric: str,
    margin: Any,
    alpha: Any,
    matter_frac: Any,
    outside: Any,
    unit: Any,
    seed: Any,
) -> Rules:
    """The rules of a trial.

    Raises:
        OptionError: an option that is none.
    """
    for name, value, most in (
        ("margin", margin, 1.0),
        ("alpha", alpha, 0.5),
        ("matter_frac", matter_frac, 1.0),
    ):
        real = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not real or not 0 < value <= most:
            raise OptionError(f"{name}={shown(value)}", mend=f"give a number above 0, to {most:g}")
    if unit not in UNITS:
        raise OptionError(f"unit={shown(unit)} is unknown", mend=f"use {' or '.join(UNITS)}")
    if type(outside) is not bool:
        raise OptionError(f"outside={shown(outside)} is no switch", mend="give True or False")
    return Rules(
        float(margin),
        float(alpha),
        float(matter_frac),
        metric_named(metric or pairs.task.metric).unit,
        _units(pairs, unit),
        outside,
        whole_number(seed, "seed", 0),
    )


def _units(pairs: DistinctPairs, unit: str) -> tuple[str, ...] | None:
    """Label of each pair's independent unit; None where each pair is its own."""
    if unit == "template":
        return tuple(pairs.task.templates)
    return pairs.prompts if pairs.share_prompts else None


def draws_of(given: Any, n_tests: int, alpha: float) -> int:
    """Number of random circuits; by default what the correction needs.

    Raises:
        OptionError: fewer than that.
    """
    needed = draws_needed(n_tests, alpha)
    if given is None:
        return needed
    if whole_number(given, "n_random", 1) < needed:
        raise OptionError(
            f"{given} random circuits cannot give p below {1 / (given + 1):.2g}, and {n_tests} "
            f"tests at alpha = {alpha:g} need {alpha / n_tests:.2g}",
            mend=f"give n_random={needed} or more, fewer references, or a larger alpha",
        )
    return given


def need_pairs(pairs: DistinctPairs, rules: Rules, n_tests: int, unit: str = "pair") -> int:
    """Number of independent units.

    Raises:
        TaskError: too few of them for alpha.
    """
    needed = pairs_needed(n_tests, rules.alpha)
    units = len(pairs.task) if rules.units is None else len(set(rules.units))
    noun = unit if unit == "template" or rules.units is None else "clean prompt"
    if units < needed:
        there = f"{units} {noun}{'s' * (units != 1)}"
        there += f" ({pairs.repeated} more repeat them)" * bool(pairs.repeated)
        raise TaskError(
            f"{there} cannot give p below {math.ldexp(1, -units):.2g}, and {n_tests} tests at "
            f"alpha = {rules.alpha:g} need {rules.alpha / n_tests:.2g}",
            mend=f"give {needed} {noun}s or more, fewer references, or a larger alpha",
            where=pairs.task.name,
        )
    return units
