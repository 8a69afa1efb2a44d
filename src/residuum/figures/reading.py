"""Read any figure back from its JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from residuum.core.errors import LoadError, OptionError
from residuum.figures.figure import Figure
from residuum.figures.panel import SINGLE, Panel, single_from_json

KINDS: tuple[str, ...] = (*SINGLE, Panel.kind)


def figure_from_json(data: Mapping[str, Any]) -> Figure:
    """Build the figure that ``to_json`` wrote, whatever its kind.

    Raises:
        OptionError: an unknown kind, an unknown key or a missing one.

    >>> from residuum.figures.heatmap import HeatMap
    >>> figure_from_json(HeatMap([[1.0]]).to_json()) == HeatMap([[1.0]])
    True
    """
    kind = data.get("kind")
    if kind == Panel.kind:
        return Panel.from_json(data)
    if kind not in SINGLE:
        raise OptionError(f"unknown kind of figure {kind!r}", mend=f"use one of {', '.join(KINDS)}")
    return single_from_json(data)


def load_figure(path: str | Path) -> Figure:
    """Read a figure that was saved as ``.json``.

    Raises:
        LoadError: the file is missing or is not JSON.
        OptionError: it is JSON, but not of a figure.
    """
    source = Path(path)
    try:
        data = json.loads(source.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LoadError(
            f"cannot read a figure: {error}",
            mend="pass a file that figure.save('name.json') wrote",
            where=str(source),
        ) from error
    if not isinstance(data, dict):
        raise OptionError("this JSON is not a figure", mend="pass what figure.save() wrote")
    return figure_from_json(data)
