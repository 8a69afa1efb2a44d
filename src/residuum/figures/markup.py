"""HTML building blocks: escaping, data blocks, and the runtime that figures share."""

from __future__ import annotations

import base64
import html
import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np


def escape(text: object) -> str:
    """Escape text for element content and for double-quoted attributes.

    >>> escape('<script>"')
    '&lt;script&gt;&quot;'
    """
    return html.escape(str(text), quote=True)


def inline(text: str) -> str:
    """Escape text, then show `` `code` `` and ``**strong**`` as such; a number keeps its %.

    >>> inline("head `L2.z[H3]` <b>")
    'head <code>L2.z[H3]</code> &lt;b&gt;'
    """
    pieces = re.split(r"`([^`\n]+)`", escape(text))  # every second piece is code
    pieces[0::2] = [re.sub(r"\*\*([^*\n]+)\*\*", r"<strong>\1</strong>", p) for p in pieces[0::2]]
    pieces[0::2] = [re.sub(r"(?<=\d) (?=%)", "\u00a0", p) for p in pieces[0::2]]
    pieces[1::2] = [f"<code>{code}</code>" for code in pieces[1::2]]
    return "".join(pieces)


def data_block(data: Any) -> str:
    """Return JSON as an inert script block that no text inside can break out of."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for mark, code in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"),
                       ("\u2028", "\\u2028"), ("\u2029", "\\u2029")):  # fmt: skip
        text = text.replace(mark, code)
    return f'<script type="application/json" class="rz-data">{text}</script>'


def float32_base64(values: np.ndarray) -> str:
    """Encode values as little-endian float32 in base64, row by row."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode("ascii")


def decode_float32(text: str) -> np.ndarray:
    """Read back what ``float32_base64`` wrote, as a flat array."""
    return np.frombuffer(base64.b64decode(text), dtype="<f4")


@cache
def stylesheet() -> str:
    """Return the style sheet that pages and single fragments share."""
    return _built("figures.css")


@cache
def runtime() -> str:
    """Return the script that draws every figure on a page; running it twice is harmless.

    It is built from ``web/src/drawing``, which the workbench's pages draw with too.
    """
    return _built("figures.js")


def _built(name: str) -> str:
    return (files("residuum.figures") / "static" / name).read_text(encoding="utf-8")
