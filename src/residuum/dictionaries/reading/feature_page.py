"""One self-contained offline HTML page of a reading."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from residuum.core import OptionError
from residuum.core.paths import writing
from residuum.dictionaries.reading.page_data import PageData, packed
from residuum.figures.document import document
from residuum.figures.markup import escape
from residuum.runs.arguments import shown

_MB = 1e6
_SHELL = 0.4  # megabytes that style, script and frame may take
_DATA = "application/octet-stream"


def write_page(reading: Any, path: str | Path, title: str, most_mb: float) -> Path:
    """Write the page; see :meth:`FeatureReading.page`."""
    real = isinstance(most_mb, (int, float)) and not isinstance(most_mb, bool)
    if not real or not _SHELL < most_mb < float("inf"):
        raise OptionError(
            f"most_mb={shown(most_mb)} is out of range", mend=f"give a number above {_SHELL}"
        )
    with writing(path) as target:
        text = page_of(reading, title or f"{_model(reading)}: {reading.name}", most_mb)
        target.write_text(text, encoding="utf-8")
    return target


def page_of(reading: Any, title: str, most_mb: float) -> str:
    """The HTML text."""
    data = PageData(reading, (most_mb - _SHELL) * _MB)
    blocks = "\n".join(
        f'<script type="{_DATA}" id="rf-block-{k}">{each}</script>'
        for k, each in enumerate(data.blocks())
    )
    index = f'<script type="{_DATA}" id="rf-index">{packed(data.index(title))}</script>'
    frame = _FRAME.format(noun=escape(reading.noun))
    parts = (f"<style>{_asset('css')}</style>", frame, blocks, index)
    body = "\n".join((*parts, f"<script>{_asset('js')}</script>"))
    return document(title, body, subtitle=_subtitle(reading), footer=_footer(reading, data))


def _model(reading: Any) -> str:
    """The model's name, of a folder its last part."""
    name = reading.provenance.model_id
    return Path(name).name if name.startswith((".", "/", "~")) else name


def _subtitle(reading: Any) -> str:
    return (
        f"{reading.n_latents:,} {reading.noun}s read over {reading.n_tokens:,} tokens "
        f"({reading.n_rows:,} rows of text) in one pass"
    )


def _footer(reading: Any, data: PageData) -> str:
    gone = ", ".join(f"{count} {name}" for name, count in reading.left_out.items() if count)
    return (
        ("" if data.all_shown else "To keep the file small not all examples kept are shown. ")
        + "Examples: the strongest, and a random sample of the others by quarter; a repeated "
        "context stands once. Promotes and suppresses: the direct path alone, the final norm's "
        "divisor taken as 1. None of this is a causal test. "
        + (f"Left out: {gone}. " if gone else "")
        + f"{_model(reading)} {reading.provenance.weight_hash[:12]}; "
        f"text {', '.join(each[:12] for each in reading.texts[:3])}."
    )


@cache
def _asset(kind: str) -> str:
    name = f"feature_page.{kind}"
    return (files("residuum") / "assets" / "feature_page" / name).read_text(encoding="utf-8")


_FRAME = """<div class="rf">
<div class="rf-side" role="search">
<input type="search" id="rf-search" aria-label="Search {noun}s"
 placeholder="Search: token, label, #number" autocomplete="off" spellcheck="false">
<div class="rf-row"><select id="rf-where" aria-label="Search in"><option value="all">in all</option>
<option value="label">in labels</option><option value="fires">in fires on</option>
<option value="promotes">in promotes</option></select>
<select id="rf-sort" aria-label="Sort by"><option value="number">by number</option>
<option value="density">by density</option><option value="kurtosis">by kurtosis</option>
<option value="largest">by largest</option><option value="label">by label</option></select>
<button type="button" class="rz-button" id="rf-way" aria-label="Descending" aria-pressed="false"
>↑</button></div>
<p class="rf-count" id="rf-count" role="status"></p>
<div class="rf-list" id="rf-list" role="listbox" tabindex="0" aria-label="{noun}s">
<div class="rf-fill" id="rf-fill" role="presentation"></div></div>
<div class="rf-tools"><button type="button" class="rz-button" id="rf-json">All as JSON</button>
<button type="button" class="rz-button" id="rf-csv">Table as CSV</button></div>
</div>
<div class="rf-main" id="rf-detail"></div>
<div class="rz-live" id="rf-say" aria-live="polite"></div>
</div>"""
