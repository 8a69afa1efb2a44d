"""One palette for all media: what the pages draw with is what ``palette.py`` says."""

import json
import runpy
from pathlib import Path

from residuum.figures import palette
from residuum.figures.markup import runtime, stylesheet

DRAWING = Path(__file__).resolve().parents[2] / "web" / "src" / "drawing"


def test_the_pages_have_the_numbers_of_the_package():
    written = json.loads((DRAWING / "palette.json").read_text(encoding="utf-8"))
    numbers = runpy.run_path(str(DRAWING / "write_palette.py"))["NUMBERS"]
    assert written == json.loads(json.dumps(numbers)), "mend: make pages"


def test_the_built_script_and_styles_hold_every_colour():
    every = [*palette.NAN_COLOUR.values(), *palette.POSITIVE.values(), *palette.NEGATIVE.values()]
    for group in (palette.CATEGORIES, palette.SERIES, *palette.STOPS.values()):
        every += [colour for colours in group.values() for colour in colours]
    script, styles = runtime(), stylesheet()
    assert [colour for colour in every if colour not in script] == [], "mend: make pages"
    ramps = [c for scale in palette.STOPS.values() for colours in scale.values() for c in colours]
    assert [colour for colour in ramps if colour not in styles] == [], "mend: make pages"
