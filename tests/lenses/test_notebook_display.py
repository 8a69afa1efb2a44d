"""In a notebook every result of the room shows itself as its figure; its repr is one line."""

from __future__ import annotations

import inspect
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import residuum as rz
from residuum import lenses
from residuum.lenses import (
    TunedLens,
    attention_view,
    direct_logit_attribution,
    stream_contributions,
    token_attribution,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
from law_worlds import id_task, talker

PARTS_OF_RESULTS = {"Contribution"}


@cache
def results() -> dict[str, Any]:
    held, text = talker(), "the cat sat on"
    lens = TunedLens.train(held, [text, "the dog ran"], steps=3)
    return {
        "LensReading": rz.logit_lens(held, text),
        "TunedLens": lens,
        "LensFit": lens.evaluate(held, [text, "the dog"]),
        "LogitAttribution": direct_logit_attribution(held, text, answers="mat", wrong="dog"),
        "StreamContributions": stream_contributions(held, text),
        "TokenAttribution": token_attribution(held, id_task(), steps=2),
        "AttentionView": attention_view(held, text),
    }


def test_every_class_of_the_room_is_among_them() -> None:
    classes = {name for name in lenses.__all__ if inspect.isclass(getattr(lenses, name))}
    assert classes == set(results()) | PARTS_OF_RESULTS


@pytest.mark.parametrize("name", sorted(set(lenses.__all__) & {
    "LensReading", "TunedLens", "LensFit", "LogitAttribution", "StreamContributions",
    "TokenAttribution", "AttentionView"}))  # fmt: skip
def test_it_shows_itself_as_its_figure(name: str) -> None:
    found = results()[name]
    assert type(found).__name__ == name
    shown, figure = found._repr_html_(), found.figure()
    assert shown == figure.html() and figure.fragment() in shown
    assert figure.title in shown and "<script>" in shown
    text = repr(found)
    assert text.startswith(f"{name}(") and "\n" not in text and len(text) < 400
    assert "tensor(" not in text and "array(" not in text
    assert len(found.to_dataframe()) > 0 and found.provenance.weight_hash


def test_reprs_name_what_was_found() -> None:
    found = results()
    reading = found["LensReading"]
    assert repr(reading.top_words[-1][-1][0]) in repr(reading)
    view = found["AttentionView"]
    layer, head = divmod(int(view.output[:, :, -1].amax(-1).argmax()), view.pattern.shape[1])
    assert f"by L{layer}H{head}" in repr(view)
    row = found["LensFit"].to_dataframe().iloc[0]
    assert f"embed {row.tuned:.2f} ({row.logit:.2f})" in repr(found["LensFit"])
    table = found["StreamContributions"].table.query("part != 'before' and layer == 1")
    best = table.loc[table.share.idxmax()]
    assert f"L1 {best.part} {best.share:.2f}" in repr(found["StreamContributions"])
    assert found["TokenAttribution"].summary() in repr(found["TokenAttribution"])


def test_a_tuned_lens_shows_its_training() -> None:
    lens = results()["TunedLens"]
    assert lens.to_dataframe().loss_nats.tolist() == list(lens.losses)
    record = lens.figure().to_json()
    assert record["x"] == "step" and "not trained on" in str(record)
