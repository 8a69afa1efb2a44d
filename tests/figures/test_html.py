import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from residuum.core.errors import OptionError
from residuum.figures import (
    Bullets,
    Callout,
    Code,
    Columns,
    Contents,
    Fold,
    Heading,
    HeatMap,
    KeyValues,
    Panel,
    Paragraph,
    Stat,
    Stats,
    page,
)
from residuum.figures.markup import decode_float32, escape, inline, runtime

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Reader(HTMLParser):
    """Collects tags, attributes and the data blocks of a page, and checks the nesting."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.blocks, self.open, self.text = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if self.open and self.open[-1][1].get("class") == "rz-data":
            self.blocks.append(json.loads(data))
        elif not self.open or self.open[-1][0] not in ("script", "style"):
            self.text.append(data)


def read(html):
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    return reader


def all_parts(samples):
    evil = samples.EVIL
    return [
        Heading(evil), evil, Paragraph(evil), Bullets([evil]), Bullets([evil], ordered=True),
        Callout(evil, evil, "warning", evil), Columns([[evil], [Bullets([evil])]]),
        KeyValues({evil: evil}, evil), KeyValues([(evil, 1)]),
        Stats([Stat(evil, evil, evil, evil, "bad")]), Code(evil, evil), Fold(evil, [evil]),
        Heading("b", 3), Heading("c"), Heading("d"), *samples.every_figure().values(),
    ]  # fmt: skip


def test_text_cannot_break_out(samples):
    evil = samples.EVIL
    reader = read(page(evil, all_parts(samples), subtitle=evil, footer=evil))
    scripts = [a for a in reader.attributes if a[0] == "script"]
    assert all(a == ("script", "type", "application/json") or a[1] == "class" for a in scripts)
    assert not [a for a in reader.attributes if a[1].startswith("on")]
    assert "b" not in reader.tags or all("onload" not in a for a in reader.attributes)
    blocks = len(reader.blocks)
    assert reader.tags.count("script") == blocks + 1  # the data and one runtime
    assert "alert(1)" in "".join(reader.text)  # it is shown, as text


def test_fragments_stand_alone_and_together(figure):
    both = figure.html() + figure.html()
    assert read(both).tags.count("style") == 2
    assert "<style>" not in figure.html(runtime=False)
    assert figure.html(runtime=False) in figure.html()


def test_values_in_the_page_are_the_values_of_the_figure(samples):
    values = np.random.default_rng(0).normal(size=(7, 5))
    values[2, 3] = np.nan
    figure = HeatMap(
        values,
        unit="logits",
        cell_text=[[f"{samples.EVIL}{r}{c}" for c in range(5)] for r in range(7)],
    )
    (data,) = read(page("p", [figure])).blocks
    decoded = decode_float32(data["values"]).reshape(7, 5)
    np.testing.assert_array_equal(decoded, values.astype(np.float32))
    assert np.isnan(decoded[2, 3])
    assert data["text"][6][4] == samples.EVIL + "64"
    assert data["low"] == -data["high"] == -np.nanmax(np.abs(values))


def test_lines_and_bars_carry_their_values(samples):
    figures = samples.every_figure()
    lines, bars = read(page("p", [figures["lines"], figures["bars"]])).blocks
    np.testing.assert_array_equal(decode_float32(lines["series"][0]["y"]), [1.0, np.nan, 3.0])
    np.testing.assert_array_equal(decode_float32(lines["series"][0]["hi"]), [2.0, np.nan, 4.0])
    assert lines["series"][0]["name"] == samples.EVIL
    assert bars["names"] == ["a", samples.EVIL, "c"]
    np.testing.assert_array_equal(decode_float32(bars["values"]), [1.0, -2.0, np.nan])


def test_table_and_tokens_are_in_the_markup(samples):
    figures = samples.every_figure()
    html = page("p", [figures["table"], figures["tokens"]])
    assert '<td class="rz-right" data-value="1.5">1.50</td>' in html
    assert '<td class="rz-right">–</td>' in html
    assert '<span class="rz-id">2</span>' in html
    assert "impossible" in html


def test_a_page_asks_the_network_for_nothing(samples):
    html = page("p", [part for part in all_parts(samples) if part != samples.EVIL])
    assert not re.search(r"https?://", html)
    assert not re.search(r"@import|url\(|<link|\bsrc=|\bfetch\(|XMLHttpRequest|WebSocket", html)
    assert "default-src 'none'" in html


def test_page_has_what_readers_need(samples):
    reader = read(page("Report", all_parts(samples)))
    assert ("html", "lang", "en") in reader.attributes
    assert ("meta", "name", "viewport") in reader.attributes
    assert reader.tags.count("h1") == 1
    assert reader.tags.count("main") == 1
    labels = [a[2] for a in reader.attributes if a[:2] == ("figure", "aria-label")]
    assert any("Heat map, 2 rows by 3 columns; highest 1 logits at row" in text for text in labels)
    anchors = {a[2] for a in reader.attributes if a[1] == "id"}
    links = [a[2][1:] for a in reader.attributes if a[0] == "a" and a[1] == "href"]
    assert len(links) == 5 and set(links) <= anchors


def test_contents_only_where_they_help():
    few = [Heading("a"), Heading("b")]
    assert "rz-contents" not in re.sub(r"<style>.*?</style>", "", page("p", few), flags=re.S)
    assert '<nav class="rz-contents"' in page("p", few, contents=True)


def test_saved_page_is_complete(figure, tmp_path):
    html = figure.save(tmp_path / "figure.html").read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert read(html).tags.count("h1") == 1


def test_thumbnails_share_one_colour_key_or_say_that_they_do_not(samples):
    panel = samples.every_figure()["panel"]
    html = panel.fragment()
    assert html.count("rz-compact") == 3
    assert html.count('<div class="rz-legend"><span>−2</span>') == 1
    mixed = Panel([HeatMap([[1.0]]), HeatMap([[2.0]])])
    assert "compare shapes, not shades" in mixed.fragment()
    assert "compare shapes, not shades" not in Panel(mixed.figures, thumbnails=False).fragment()


def test_unknown_parts_are_refused():
    with pytest.raises(OptionError, match="a page cannot hold int"):
        page("p", [3])
    with pytest.raises(OptionError, match="'loud'"):
        Callout("x", tone="loud")


def test_marks_in_text_are_set_after_escaping():
    assert inline("`<b>` **x**") == "<code>&lt;b&gt;</code> <strong>x</strong>"
    assert escape("<a href='x'>") == "&lt;a href=&#x27;x&#x27;&gt;"


def test_the_runtime_is_small_and_cannot_close_its_own_tag():
    assert len(runtime()) < 60_000
    assert "</script" not in runtime()


def test_contents_stand_where_they_are_put():
    parts = [Callout("c", "t", "good", "yes"), Contents(), Heading("a"), Heading("b")]
    html = page("p", parts)
    assert html.count('<nav class="rz-contents"') == 1
    assert html.index("rz-badge") < html.index('<nav class="rz-contents"') < html.index("<h2")
    assert html.index("<main") < html.index('<nav class="rz-contents"')


def test_a_fold_says_whether_it_is_printed():
    html = page("p", [Fold("<b>", ["x"], printed=False), Fold("c", ["y"], opened=True)])
    assert '<details class="rz-fold rz-unprinted"><summary>&lt;b&gt;</summary>' in html
    assert '<details class="rz-fold" open><summary>c</summary>' in html


def test_columns_hold_their_parts_in_order():
    html = page("p", [Columns([["left", Heading("in the first")], ["right"]])])
    assert '<div class="rz-columns"><div><p>left</p><h2 id="part-1">' in html
    assert "</h2></div><div><p>right</p></div></div>" in html
