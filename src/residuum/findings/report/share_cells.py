"""Shares as cells of a table, without the sign of a zero."""

from __future__ import annotations

import re

from residuum.findings.record.evidence import Estimate
from residuum.findings.record.rules import percent, share

_ZERO = re.compile(r"-0(?![.\d])")


def share_cell(value: Estimate | float) -> str:
    """A share, with its interval where it has one.

    >>> share_cell(Estimate(-0.001, -0.004, 0.2, 9)), share_cell(-0.002), share_cell(-0.05)
    ('0 % [0, 20]', '0 %', '-5 %')
    """
    return _ZERO.sub("0", share(value) if isinstance(value, Estimate) else percent(value))
