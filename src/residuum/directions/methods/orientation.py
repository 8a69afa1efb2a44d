"""The sign of vectors that come without one."""

from __future__ import annotations

from torch import Tensor

from residuum.directions.moments import ClassMoments


def towards_last_class(rows: Tensor, moments: ClassMoments) -> Tensor:
    """Each row ``[k d]`` turned so that the last class lies further along it than the first."""
    means = moments.means
    along = rows.double() @ (means[-1] - means[0])
    return rows * (1 - 2 * (along < 0).to(rows))[:, None]
