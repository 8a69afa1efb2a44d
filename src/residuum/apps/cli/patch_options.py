"""What ``residuum patch`` is asked for: its options read, those that would do nothing refused."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from typing import Any, Literal

from residuum.core import OptionError

ABLATIONS = ("zero", "mean", "resample")
EDITS = ("denoise", "noise", *ABLATIONS)
METHODS = ("exact", "attribution", "ig")

_CELLS = ("site", "by", "only", "method", "control", "jobs", "keep", "max_memory", "knock_out")
_EXACT = ("control", "engine", "jobs", "keep", "max_memory")


@dataclass(frozen=True)
class Asked:
    """What to compute.

    Attributes:
        edit: one of :data:`EDITS`.
        paths: whether path by path instead of cell by cell.
        by: axes of the grid.
        only: axis -> indices, or None.
        receivers: of paths, groups as tuples; or None.
        approximation: one of :data:`METHODS`.
    """

    edit: str
    paths: bool
    site: str
    by: tuple[str, ...]
    only: dict[str, list[int]] | None
    receivers: list[str | tuple[str, ...]] | None
    approximation: str

    @property
    def direction(self) -> Literal["denoise", "noise"]:
        """Of a patch."""
        return "noise" if self.edit == "noise" else "denoise"

    def ablation(self, seed: int) -> Any:
        """The kind of ablation."""
        from residuum.patching import ResampleAblation

        return ResampleAblation(seed=seed) if self.edit == "resample" else self.edit

    def method(self, seed: int) -> Any:
        """The approximation; None for exact patches."""
        from residuum.patching import AttributionPatching, NodeIG

        kinds = {"attribution": AttributionPatching, "ig": NodeIG}
        kind = kinds.get(self.approximation)
        return None if kind is None else kind(seed=seed)


def asked_of(arguments: argparse.Namespace) -> Asked:
    """The options as they are meant.

    Raises:
        OptionError: options that contradict each other, or would do nothing beside the others.
    """
    edit = _edit(arguments)
    paths = bool(arguments.senders or arguments.receivers)
    _refuse(arguments, ("via",), not paths, "without --from or --to")
    _refuse(arguments, _CELLS, paths, "with --from and --to")
    if paths and edit in ABLATIONS:
        raise OptionError(
            f"--edit {edit} does not go with --from and --to: paths carry one prompt's values "
            "into the other",
            mend="use --edit denoise or noise",
        )
    if arguments.knock_out and edit not in ABLATIONS:
        raise OptionError(
            f"--knock-out takes cells out, --edit {edit} does not",
            mend=f"add --edit {', '.join(ABLATIONS[:-1])} or {ABLATIONS[-1]}",
        )
    site = "z" if arguments.site is None else arguments.site
    by = _axes(arguments.by, site)
    if arguments.knock_out and "k_pos" in by:
        raise OptionError(
            "--knock-out takes out heads, neurons, layers and positions, not single places of "
            f"{site}",
            mend="leave k_pos out of --by, or --knock-out out",
        )
    method = arguments.method or "exact"
    if method != "exact" and edit in ABLATIONS:
        raise OptionError(
            f"--method {method} predicts patches, --edit {edit} is an ablation",
            mend="use --edit denoise or noise, or leave --method out",
        )
    _refuse(arguments, _EXACT, method != "exact", f"with --method {method}")
    only = _indices(arguments.only)
    return Asked(edit, paths, site, by, only, _grouped(arguments.receivers), method)


def _edit(arguments: argparse.Namespace) -> str:
    if arguments.edit and arguments.direction and arguments.edit != arguments.direction:
        raise OptionError(
            f"--edit {arguments.edit} and --direction {arguments.direction} contradict each other",
            mend="give --edit alone",
        )
    return arguments.edit or arguments.direction or "denoise"


def _refuse(arguments: argparse.Namespace, names: tuple[str, ...], here: bool, beside: str) -> None:
    """Refuse options that would do nothing here."""
    given = [name for name in names if getattr(arguments, name) is not None]
    if here and given:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        does = "does" if len(given) == 1 else "do"
        raise OptionError(f"{flags} {does} nothing {beside}", mend="leave one or the other out")


def _axes(text: str | None, site: str) -> tuple[str, ...]:
    from residuum.core import SITES

    if text is not None:
        if not text.strip():
            raise OptionError("--by names no axis", mend="write for example --by layer,head")
        return tuple(part.strip() for part in text.split(","))
    known = SITES.get(site)
    return ("layer", "head") if known is not None and "head" in known.dims else ("layer",)


def _indices(texts: list[str] | None) -> dict[str, list[int]] | None:
    """``layer=3,4`` and ``head=0:4`` as axis -> indices."""
    if texts is None:
        return None
    found: dict[str, list[int]] = {}
    for text in texts:
        read = re.fullmatch(r"\s*([a-z_]+)\s*=\s*([-\d:,\s]+)", text)
        pieces = [] if read is None else [_range(piece.strip()) for piece in read[2].split(",")]
        if read is None or None in pieces:
            raise OptionError(
                f"cannot read --only {text!r}",
                mend="write for example --only layer=3,4 or head=0:4",
            )
        if read[1] in found:
            raise OptionError(
                f"--only names {read[1]} twice", mend=f"write --only {read[1]}=I,J once"
            )
        found[read[1]] = [index for piece in pieces for index in piece or ()]
    return found


def _range(text: str) -> list[int] | None:
    """``3`` or ``3:6`` (3, 4, 5) as indices; None for anything else."""
    read = re.fullmatch(r"(-?\d+)(?::(\d+))?", text)
    if read is None:
        return None
    return [int(read[1])] if read[2] is None else list(range(int(read[1]), int(read[2])))


def _grouped(texts: list[str] | None) -> list[str | tuple[str, ...]] | None:
    """``A+B`` as one receiver of two members."""
    if texts is None:
        return None
    groups = [tuple(part.strip() for part in text.split("+")) for text in texts]
    return [group[0] if len(group) == 1 else group for group in groups]
