"""Write the palettes of ``residuum.figures.palette`` for the pages: ``make pages`` runs it."""

import json
from pathlib import Path

from residuum.figures import palette

NUMBERS = {
    "stops": palette.STOPS,
    "nan": palette.NAN_COLOUR,
    "categories": palette.CATEGORIES,
    "tint": palette.TINT,
    "series": palette.SERIES,
    "dashes": palette.DASHES,
    "positive": palette.POSITIVE,
    "negative": palette.NEGATIVE,
}

if __name__ == "__main__":
    target = Path(__file__).with_name("palette.json")
    target.write_text(json.dumps(NUMBERS, indent=1) + "\n", encoding="utf-8")
