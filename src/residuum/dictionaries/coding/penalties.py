"""What a sparse coder pays for active latents, beside the error it makes.

The coefficient is not part of a penalty: it is given at each step (``weights=``), so that a
schedule or a controller can move it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from residuum.core import OptionError, StoreError


@dataclass(frozen=True)
class L1:
    """Sum of the latents' sizes, each times the summed lengths of its decoder rows.

    Attributes:
        by_decoder_norm: multiply by the lengths; without it, only bounded decoder rows
            (``unit_norm``) keep the penalty from being evaded.

    For gated coders the sizes are those of the gate. Source: Templeton et al. 2024, "Scaling
    Monosemanticity" (times the norm); Lindsey et al. 2024, "Sparse Crosscoders" (summed norms).
    """

    by_decoder_norm: bool = True

    def __post_init__(self) -> None:
        if type(self.by_decoder_norm) is not bool:
            raise OptionError(
                f"by_decoder_norm={self.by_decoder_norm!r} is neither", mend="True or False"
            )


@dataclass(frozen=True)
class L0Step:
    """Number of active latents, with a pseudo-derivative for the thresholds (JumpReLU only).

    Source: Rajamanoharan et al. 2024, "Jumping Ahead", equations 9 and 12.
    """


Penalty = L1 | L0Step
PENALTIES: dict[str, type] = {each.__name__: each for each in (L1, L0Step)}


def penalty_json(penalty: Penalty | None) -> dict[str, Any] | None:
    """A penalty as plain data."""
    return None if penalty is None else {"kind": type(penalty).__name__, **asdict(penalty)}


def read_penalty(data: dict[str, Any] | None) -> Penalty | None:
    """Read what :func:`penalty_json` wrote.

    Raises:
        StoreError: there is no such penalty.
    """
    if data is None:
        return None
    if data.get("kind") not in PENALTIES:
        raise StoreError(f"no penalty reads {data}", mend=f"known are: {', '.join(PENALTIES)}")
    return PENALTIES[data["kind"]](**{k: v for k, v in data.items() if k != "kind"})
