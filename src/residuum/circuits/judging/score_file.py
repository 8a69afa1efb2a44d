"""A circuit's scores as a file: what was measured, example by example, and the circuit itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from residuum.circuits.graph.circuit import Circuit
from residuum.circuits.judging.judged import Judged
from residuum.circuits.judging.ratios import Draws
from residuum.circuits.judging.reference_scores import ReferenceScores
from residuum.circuits.judging.sealed import sealed, unsealed
from residuum.core import Provenance, StoreError

_KIND, _NOUN = "circuit_scores", "a circuit's scores"
_PLAIN = ("metric", "unit", "examples", "how", "passes", "bound", "held_out", "held_out_why")
_MEASURED = ("full", "empty", "circuit", "rest", "removed", "circuit_less", "model_less")


def score_record(scores: Judged) -> dict[str, Any]:
    """Plain data with a hash; NaN as None in the figures, which follow from what was measured."""
    references = list(scores.by_reference.values())
    rows = [row for each in references for row in each.rows()]
    draws = references[0].draws
    data = {name: getattr(scores, name) for name in _PLAIN} | {
        "circuit": scores.circuit.hash,
        "circuit_file": scores.circuit.to_json(),
        "n_edges": scores.circuit.n_edges,
        "sizes": list(scores.sizes),
        "subsets": [list(each) for each in scores.subsets],
        "draws": {"clusters": list(draws.clusters), "seed": draws.seed},
        "measured": [each.to_json() for each in references],
        "figures": [{key: _plain(value) for key, value in row.items()} for row in rows],
        "spread": list(scores.spread),
        "warnings": list(scores.warnings),
        "provenance": scores.provenance.to_json(),
    }
    return sealed(data, _KIND)


def fields_of(data: Any) -> dict[str, Any]:
    """The fields of the scores that :func:`score_record` wrote.

    Raises:
        StoreError: another kind or format, or a content that was changed after it was written.
    """
    plain = unsealed(data, _KIND, _NOUN)
    try:
        draws = Draws(tuple(plain["draws"]["clusters"]), int(plain["draws"]["seed"]))
        sizes = tuple(plain["sizes"])
        found = [_measured(each, sizes, draws) for each in plain["measured"]]
        return {name: plain[name] for name in _PLAIN} | {
            "circuit": Circuit.from_json(plain["circuit_file"]),
            "by_reference": {each.reference: each for each in found},
            "sizes": sizes,
            "subsets": tuple(map(tuple, plain["subsets"])),
            "warnings": tuple(plain["warnings"]),
            "provenance": Provenance.from_json(dict(plain["provenance"])),
        }
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{_NOUN} with values of another kind: {error}", mend="judge the circuit again"
        ) from error


def _measured(data: Mapping[str, Any], sizes: tuple[float, ...], draws: Draws) -> ReferenceScores:
    examples = len(data["full"])
    found = {name: np.asarray(data[name], dtype=np.float64) for name in _MEASURED}
    rows = {name: each.reshape(-1, examples) for name, each in found.items()}
    return ReferenceScores(
        reference=str(data["reference"]),
        full=found["full"],
        empty=found["empty"],
        circuit=found["circuit"],
        rest=found["rest"],
        removed=rows["removed"],
        groups=tuple(data["groups"]),
        circuit_less=rows["circuit_less"],
        model_less=rows["model_less"],
        curves={by: np.asarray(each, dtype=np.float64) for by, each in data["curves"].items()},
        sizes=sizes,
        draws=draws,
    )


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and np.isnan(value) else value
