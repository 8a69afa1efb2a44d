"""The data of a page: an index of all units, and blocks of units in full, each compressed.

Blocks are gzip in base64, so that no token's text stands in the HTML itself.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from residuum.core import OptionError

PER_BLOCK = 32
FIRES, PROMOTES = 6, 6
_BANDS = ("q4", "q3", "q2", "q1")
_PROBED = 48


def packed(data: Any) -> str:
    """Plain data as JSON, gzip, base64; the same data give the same text."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode("ascii")


class PageData:
    """A reading as the page wants it.

    Attributes:
        reading: the reading.
        words: token id -> place in the page's own list of tokens.
        per_band: examples of each unit in each band; the strongest get twice as many.
    """

    def __init__(self, reading: Any, most_bytes: float) -> None:
        self.reading = reading
        self.words = {int(i): place for place, i in enumerate(sorted(reading.tokens))}
        self.per_band = max(1, *(-(-len_ // ways) for len_, ways in _rooms(reading)))
        self.all_shown = True
        n, index = reading.n_latents, len(packed(self.index("")))
        probed = np.unique(np.linspace(0, n - 1, min(n, _PROBED)).astype(int))
        while True:
            size = len(packed([self.unit(int(i)) for i in probed])) * n / len(probed)
            if index + size * 1.15 <= most_bytes:
                return
            if self.per_band == 1:
                raise OptionError(
                    f"{n} units take about {(index + size) / 1e6:.1f} MB, most_mb="
                    f"{most_bytes / 1e6:g} were given",
                    mend=f"give most_mb={(index + size * 1.2) / 1e6:.0f} or more, or read with "
                    "a shorter window: sizes=Sizes(before=..., after=...)",
                )
            self.per_band, self.all_shown = self.per_band - 1, False

    def index(self, title: str) -> dict[str, Any]:
        """What the list of units, the search and the table need."""
        reading = self.reading
        return {
            "title": title, "noun": reading.noun, "n": reading.n_latents, "per_block": PER_BLOCK,
            "tokens": [reading.tokens[i] for i in sorted(reading.tokens)],
            "labels": {str(i): words for i, words in reading.labels.items()},
            "density": _column(reading.density), "kurtosis": _column(reading.kurtosis),
            "largest": _column(reading.largest),
            "fires": [self._fires(i) for i in range(reading.n_latents)],
            "promotes": [self._effect(i, "up")[0][:PROMOTES] for i in range(reading.n_latents)],
            "company": len(reading.counted.company.keys), "signed": reading.noun != "latent",
            "record": {
                "units": reading.name, "tokens": reading.n_tokens, "texts": list(reading.texts),
                "left_out": dict(reading.left_out), "provenance": reading.provenance.to_json(),
            },
        }  # fmt: skip

    def blocks(self) -> Iterator[str]:
        """The units in full, block by block."""
        n = self.reading.n_latents
        for start in range(0, n, PER_BLOCK):
            yield packed([self.unit(i) for i in range(start, min(start + PER_BLOCK, n))])

    def unit(self, index: int) -> dict[str, Any]:
        """One unit."""
        reading, partners, near = self.reading, self.reading.partners, self.reading.near
        mean, deviation, _ = reading.moments
        counts, edges = reading.histogram(index)
        (up, up_values), (down, down_values) = (self._effect(index, w) for w in ("up", "down"))
        rows = reading.counted.counts.active_rows[index] / max(reading.n_rows, 1)
        pairs = zip(*(partners[k][index] for k in _PARTNERS), strict=True)
        alike = zip(near["latents"][index], near["cosines"][index], strict=True)
        return {
            "m": [_number(rows), _number(mean[index]), _number(deviation[index])],
            "h": [counts.tolist(), [_edge(each) for each in edges]],
            "e": [self._example(each) for each in self._shown(index)],
            "u": [list(pair) for pair in zip(up, up_values, strict=True)],
            "d": [list(pair) for pair in zip(down, down_values, strict=True)],
            "p": [[int(i), _short(p), _short(j), int(t)] for i, p, j, t in pairs if i >= 0],
            "n": [[int(i), _short(c)] for i, c in alike if i >= 0],
        }

    def _shown(self, index: int) -> list[Any]:
        examples = self.reading.examples(index)
        some = [each for each in examples if each.band == "top"][: 2 * self.per_band]
        for band in _BANDS:
            some += [each for each in examples if each.band == band][: self.per_band]
        return some

    def _example(self, example: Any) -> list[Any]:
        values = [
            [place, None if value != value else _number(value)]
            for place, value in enumerate(example.activations)
            if value != 0
        ]
        words = [self.words[i] for i in example.ids]
        return [example.band, example.at, words, values, example.document, example.position]

    def _fires(self, index: int) -> list[int]:
        top = self.reading.counted.top
        filled = np.isfinite(top.order[index])
        ids = top.ids[index, filled, self.reading.counted.sizes.before].tolist()
        counts: dict[int, int] = {}
        for each in ids:
            counts[each] = counts.get(each, 0) + 1
        return [self.words[i] for i in sorted(counts, key=lambda i: -counts[i])[:FIRES]]

    def _effect(self, index: int, way: str) -> tuple[list[int], list[float]]:
        effects = self.reading.effects
        if not effects:
            return [], []
        ids, values = effects[way][index].tolist(), effects[f"{way}_values"][index]
        return [self.words[i] for i in ids], [_short(each) for each in values]


_PARTNERS = ("latents", "phi", "jaccard", "together")


def _rooms(reading: Any) -> tuple[tuple[int, int], ...]:
    return (reading.counted.top.room, 2), (reading.counted.sample.room, len(_BANDS))


def _column(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode("ascii")


def _number(value: Any) -> float | None:
    """The float32 with as few digits as tell it apart."""
    return float(str(np.float32(value))) if np.isfinite(value) else None


def _short(value: Any) -> float:
    return float(f"{float(value):.4g}")


def _edge(value: float) -> float | None:
    return float(f"{value:.4g}") if np.isfinite(value) else None
