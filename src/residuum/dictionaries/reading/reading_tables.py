"""A reading as tables: a row a unit, or a row an example."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

_WORDS = 5


def unit_table(reading: Any) -> pd.DataFrame:
    """See :meth:`FeatureReading.to_dataframe`."""
    import pandas as pd

    counts, units = reading.counted.counts, range(reading.n_latents)
    mean, deviation, kurtosis = reading.moments
    return pd.DataFrame(
        {
            "latent": np.arange(reading.n_latents),
            "label": [reading.labels.get(i, "") for i in units],
            "density": reading.density,
            "density_rows": counts.active_rows / max(reading.n_rows, 1),
            "largest": reading.largest,
            "mean": mean,
            "deviation": deviation,
            "kurtosis": kurtosis,
            "top_tokens": [" ".join(map(repr, reading.top_tokens(i))) for i in units],
            "promoted": [_effects(reading, i, "up") for i in units],
            "suppressed": [_effects(reading, i, "down") for i in units],
        }
    )


def example_table(reading: Any) -> pd.DataFrame:
    """See :meth:`FeatureReading.to_dataframe`."""
    import pandas as pd

    rows = [
        {
            "latent": i, "band": each.band, "activation": each.activation, "token": each.token,
            "document": each.document, "position": each.position, "text": "".join(each.tokens),
        }
        for i in range(reading.n_latents)
        for each in reading.examples(i)
    ]  # fmt: skip
    names = ["latent", "band", "activation", "token", "document", "position", "text"]
    return pd.DataFrame(rows, columns=names)


def _effects(reading: Any, index: int, way: str) -> str:
    """The first tokens promoted (``"up"``) or suppressed (``"down"``)."""
    if not reading.effects:
        return ""
    ids = reading.effects[way][index][:_WORDS]
    return " ".join(repr(reading.tokens[int(i)]) for i in ids)
