"""Facts: the trace agrees with the exact sweep; edits hold, are narrow, and go away again."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import residuum as rz
from residuum.core import SILENT, LoadError, OptionError, SiteRefused, StoreError, TokenError
from residuum.directions.facts import (
    Fact,
    FactEdit,
    Memit,
    Noise,
    OtherSubject,
    Rome,
    ValueSearch,
    edit_facts,
    fact_capacity,
    microworld_facts,
    trace_fact,
)
from residuum.directions.facts.fact import rows_of
from residuum.directions.facts.keys import second_moments, subject_states
from residuum.models import Batch
from residuum.runs import Task
from residuum.runs.sweeping.grid import make_grid
from residuum.runs.sweeping.outcome import Means, sweep_outcome
from residuum.runs.sweeping.writing import FromPrompts
from residuum.worlds import microworld_text

CAPITAL = "The capital of {} is"
REQUEST = Fact(CAPITAL, "Spain", "Oslo", "capital")


@pytest.fixture(scope="module")
def model() -> Any:
    return rz.load("microworld")


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return list(islice(microworld_text(seed=1), 200))


@pytest.fixture(scope="module")
def edit(model: Any, texts: list[str]) -> FactEdit:
    return edit_facts(model, REQUEST, texts, layers=0, method=Rome(ValueSearch(steps=40), slack=0))


def _bits(model: Any) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.hf.state_dict().items()}


def _same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], two[name]) for name in one)


def test_a_trace_with_another_subject_is_the_exact_sweep(model: Any) -> None:
    facts = [fact for fact in microworld_facts("capital") if fact.template == CAPITAL][:5]
    trace = trace_fact(model, facts, kinds=("mlp", "attn"))
    clean = rows_of(model, facts)
    corrupt = OtherSubject().corrupted(model, facts, clean, 0)[0].ids
    task = Task.from_pairs(
        clean=clean.batch.ids, corrupt=corrupt, answers=clean.answers, metric="prob"
    )
    for kind, site in (("mlp", "mlp_out"), ("attn", "attn_out")):
        grid = make_grid(model, task, site, ("layer", "pos"))
        means = Means.of("auto", 1, None, None, SILENT)
        writing = FromPrompts(Batch(task.clean), "denoise")
        found = sweep_outcome(
            model, task, grid, "prob", Batch(task.corrupt), writing, {"kind": "test"}, means
        )
        exact = (found.values - found.base)[:, [int(clean.last[0]), int(clean.ends[0])]]
        ours = trace.per_fact.sel(kind=kind, role=["subject, last", "last token"])
        np.testing.assert_allclose(ours.transpose("layer", "role", "fact").values, exact, atol=1e-5)
        if kind == "mlp":
            assert trace.layer == int(exact[:, 0].mean(axis=-1).argmax())


def test_noise_takes_the_answer_away_and_restoring_the_last_stream_gives_it_back(
    model: Any,
) -> None:
    facts = microworld_facts("capital")[:3]
    trace = trace_fact(model, facts, corruption=Noise(draws=2), kinds=("resid",))
    assert trace.corrupt.mean() < 0.5 < trace.clean.mean()
    last = trace.per_fact.sel(kind="resid", layer=3, role="last token").values
    np.testing.assert_allclose(last, trace.clean - trace.corrupt, atol=1e-5)


def test_an_edit_says_the_new_answer_and_goes_away_bit_for_bit(model: Any, edit: FactEdit) -> None:
    before, hash_before = _bits(model), model.adapted.rehash()
    with edit:
        assert edit.applied
        assert model.generate(REQUEST.prompt, 1).texts == ("Oslo",)
        assert not _same(before, _bits(model))
    assert not edit.applied
    assert _same(before, _bits(model))
    assert model.adapted.rehash() == hash_before
    assert model.generate(REQUEST.prompt, 1).texts == ("Madrid",)


def test_rome_is_the_constrained_least_change(model: Any, edit: FactEdit, texts: list[str]) -> None:
    """``k`` gives the value exactly; any other change that does costs more in ``C``'s norm."""
    left, right = edit.factors[0]
    assert left.shape[1] == 1
    key = subject_states(model, rows_of(model, [REQUEST]), ["L0.mlp_act"])["L0.mlp_act"][0]
    moment = second_moments(model, [0], texts, SILENT)[0]
    torch.testing.assert_close(key @ left, torch.ones(1, dtype=torch.float64), rtol=1e-5, atol=0)
    cost = float(left[:, 0] @ moment @ left[:, 0])
    assert cost == pytest.approx(1 / float(key @ torch.linalg.solve(moment, key)), rel=1e-4)
    other = torch.randn(len(key), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rival = left[:, 0] + 0.1 * (other - key * (key @ other) / (key @ key))
    assert float(rival @ moment @ rival) > cost
    assert right.shape == (1, model.dims.d_model)


def test_rome_gives_one_value_at_every_key_of_the_fact(model: Any, texts: list[str]) -> None:
    """The least change that does, and still of rank one; phrasings and ``keep`` bring the keys."""
    phrasing, kept = "The main city in {} is", Fact("People in {} speak", "Spain", "Spanish")
    way = Rome(ValueSearch(steps=3), slack=0)
    edit = edit_facts(
        model, REQUEST, texts, layers=0, phrasings=[phrasing], keep=[kept], method=way
    )
    left = edit.factors[0][0][:, 0]
    named = [REQUEST, Fact(phrasing, "Spain", "Oslo"), kept]
    keys = subject_states(model, rows_of(model, named), ["L0.mlp_act"])["L0.mlp_act"]
    torch.testing.assert_close(keys @ left, torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-4)
    moment = second_moments(model, [0], texts, SILENT)[0]
    drawn = torch.randn(len(left), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rival = left + 0.1 * (drawn - torch.linalg.pinv(keys) @ (keys @ drawn))
    torch.testing.assert_close(keys @ rival, keys @ left)
    assert float(rival @ moment @ rival) > float(left @ moment @ left)


def test_memit_fulfils_all_but_its_slack_and_spreads(model: Any, texts: list[str]) -> None:
    requests = [REQUEST, Fact(CAPITAL, "Japan", "Rome", "capital")]
    search = ValueSearch(steps=30)
    before = _bits(model)
    edit = edit_facts(model, requests, texts, layers=[0, 1], method=Memit(search, slack=0.01))
    assert _same(before, _bits(model))
    assert edit.layers == (0, 1)
    assert {tuple(left.shape) for left, _ in edit.factors.values()} == {(model.dims.d_mlp, 2)}
    with edit:
        said = model.generate([each.prompt for each in requests], 1).texts
    assert said == ("Oslo", "Rome")


def test_saved_and_read_it_is_the_same_and_fits_no_other_model(
    model: Any, edit: FactEdit, tmp_path: Path
) -> None:
    edit.save(tmp_path / "edit")
    assert sum(each.stat().st_size for each in (tmp_path / "edit").iterdir()) < 10_000
    read = FactEdit.load(tmp_path / "edit", model)
    with edit:
        once = _bits(model)
    with read:
        assert _same(once, _bits(model))
    assert read.to_json() == edit.to_json()
    twin = rz.load("microworld-trigger")
    with pytest.raises(LoadError, match="other weights"):
        FactEdit.load(tmp_path / "edit", twin)
    with pytest.raises(LoadError, match="other weights"):
        edit.apply(twin)
    with edit:  # the refusal left it with its own model
        assert model.generate(REQUEST.prompt, 1).texts == ("Oslo",)
    record = tmp_path / "edit" / "fact_edit.json"
    data = json.loads(record.read_text()) | {"tensors": "0"}
    record.write_text(json.dumps(data))
    with pytest.raises(StoreError, match="not those of the record"):
        FactEdit.load(tmp_path / "edit", model)


def test_judging_sorts_the_facts_and_leaves_the_model_alone(model: Any, edit: FactEdit) -> None:
    before = _bits(model)
    pool = microworld_facts()
    unseen = list(islice(microworld_text(seed=2), 40))
    scores = edit.evaluate(facts=pool, texts=unseen)
    assert _same(before, _bits(model))
    sizes = {kind: each.n for kind, each in scores.shares.items()}
    assert sizes == {
        "requests": 1, "paraphrases": 3, "same_subject": 4, "neighbours": 92, "elsewhere": 92,
        "others": 188,
    }  # fmt: skip
    assert scores.left_out == 1
    assert scores.shares["requests"].share == 1.0
    assert scores.shares["neighbours"].share > 0.8
    assert scores.before["neighbours"] > 0.9
    assert scores.text is not None
    assert abs(scores.text.change_frac) < 0.05
    assert scores.text.after_nats != scores.text.before_nats
    used = Fact(CAPITAL, "Spain", "Oslo", "capital")
    with pytest.raises(OptionError, match="was used for the edit"):
        edit.evaluate(paraphrases=[used])


def test_stacked_edits_come_off_in_turn(model: Any, edit: FactEdit, texts: list[str]) -> None:
    before = _bits(model)
    with edit:
        later = edit_facts(
            model, Fact(CAPITAL, "Italy", "Seoul"), texts, layers=0,
            method=Rome(ValueSearch(steps=15, lr=0.2)),
        ).apply()  # fmt: skip
        with pytest.raises(OptionError, match="changed after this edit"):
            edit.undo()
        later.undo()
    assert _same(before, _bits(model))


def test_a_gated_model_is_edited_too() -> None:
    torch.manual_seed(0)
    tokenizer = rz.load("microworld", check=False).tokenizer
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32,
        intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=64, initializer_range=0.2,
    )  # fmt: skip
    llama = rz.load(LlamaForCausalLM(config).eval(), tokenizer=tokenizer)
    corpus = list(islice(microworld_text(seed=3), 60))
    before = _bits(llama)
    edit = edit_facts(
        llama, REQUEST, corpus, layers=0, method=Rome(ValueSearch(longest=20, lr=0.5))
    )
    logits = llama.run(REQUEST.prompt).last[0]
    with edit:
        moved = llama.run(REQUEST.prompt).last[0]
    oslo = llama.to_single_token("Oslo")
    assert moved.log_softmax(-1)[oslo] > logits.log_softmax(-1)[oslo] + 1
    assert _same(before, _bits(llama))


def test_what_cannot_be_edited_is_refused_by_name(model: Any, texts: list[str]) -> None:
    from transformers import MixtralConfig, MixtralForCausalLM

    config = MixtralConfig(
        vocab_size=model.d_vocab, hidden_size=32, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=4, num_key_value_heads=2, num_local_experts=2,
    )  # fmt: skip
    mixture = rz.load(MixtralForCausalLM(config).eval(), tokenizer=model.tokenizer, check=False)
    with pytest.raises(SiteRefused, match="mixture of experts"):
        edit_facts(mixture, REQUEST, texts, layers=0)
    handle = model.adapted.parts.layers[0].mlp_out.register_forward_hook(lambda *a: a[2] * 1.1)
    try:
        with pytest.raises(rz.CheckFailed, match="adapter or a hook"):
            edit_facts(model, REQUEST, texts, layers=0)
    finally:
        handle.remove()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "needs layers, or facts"),
        ({"layers": 9}, "out of range"),
        ({"layers": [0, 1], "method": Rome()}, "one layer"),
        ({"layers": 0, "keep": [Fact(CAPITAL, "Spain", "Madrid")]}, "to change and to stay"),
        ({"layers": 0, "keep": [Fact(CAPITAL, "Italy", "Rome")]}, "no request's subject"),
        ({"validation": [REQUEST]}, "in requests and in validation"),
        ({"layers": 0, "colour": 1}, "unknown option colour"),
        ({"layers": []}, "layers="),
        ({"layers": True}, "layers="),
        ({"layers": 0, "method": "rome"}, "method='rome'"),
        ({"layers": 0, "phrasings": "The {} is"}, "phrasings="),
        ({"layers": 0, "phrasings": ["no place"]}, "no place for the subject"),
        ({"layers": 0, "prefixes": 1000}, "1000 prefixes from 200 texts"),
        ({"layers": 0, "prefixes": -1}, "prefixes"),
        ({"layers": 0, "seed": -1}, "seed"),
        ({"layers": 0, "keep": ["Spain"]}, "keep holds 'Spain'"),
    ],
)
def test_bad_options_are_refused(
    model: Any, texts: list[str], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(OptionError, match=said):
        edit_facts(model, REQUEST, texts, **options)


def test_bad_facts_are_refused(model: Any, texts: list[str]) -> None:
    with pytest.raises(OptionError, match="no place for the subject"):
        Fact("The capital is", "France", "Paris")
    with pytest.raises(OptionError, match="more than once"):
        trace_fact(model, [Fact("{} and {} is", "France", "Paris")])
    with pytest.raises(OptionError, match="two requests"):
        edit_facts(model, [REQUEST, Fact(CAPITAL, "Spain", "Rome")], texts, layers=0)
    with pytest.raises(OptionError, match="holds no facts"):
        edit_facts(model, [], texts, layers=0)
    with pytest.raises(OptionError, match="holds no texts"):
        edit_facts(model, REQUEST, "one text", layers=0)
    with pytest.raises(TokenError):
        edit_facts(model, Fact(CAPITAL, "Atlantis", "Oslo"), texts, layers=0)
    with pytest.raises(OptionError, match="tokens of text"):
        edit_facts(model, REQUEST, texts[:3], layers=0)


def test_judging_an_applied_edit_leaves_it_applied(model: Any, edit: FactEdit) -> None:
    with edit:
        held = _bits(model)
        assert edit.evaluate(facts=microworld_facts("capital")[:4]).shares["requests"].share == 1.0
        assert edit.applied
        assert _same(held, _bits(model))


def test_capacity_judges_every_draw_and_leaves_the_model_alone(
    model: Any, texts: list[str], tmp_path: Path
) -> None:
    before = _bits(model)
    answers = {"Spain": "Oslo", "Japan": "Rome", "Italy": "Seoul"}
    requests = [Fact(CAPITAL, *each, "capital") for each in answers.items()]
    curve = fact_capacity(
        model, requests, texts, facts=microworld_facts("capital")[:48], unseen=texts[:20],
        sizes=(1, 3), draws=2, layers=0, method=Memit(ValueSearch(steps=15, lr=0.1)),
    )  # fmt: skip
    assert _same(before, _bits(model))
    assert [(row.n, row.draw) for row in curve.rows] == [(1, 0), (1, 1), (3, 0), (3, 1)]
    assert curve.rows[2].requests == curve.rows[3].requests  # all three, in another order
    assert all(np.isfinite(row.loss_change_frac) for row in curve.rows)
    low, high = curve.mean("others", 1)[1]
    assert 0 <= low <= curve.mean("others", 1)[0] <= high <= 1
    assert len(curve.to_dataframe()) == len(curve.to_json()["rows"]) == 4
    curve.save(tmp_path / "curve.svg")
    assert "facts edited at once" in (tmp_path / "curve.svg").read_text()
    with pytest.raises(OptionError, match="sizes=\\(4,\\) of 3 requests"):
        fact_capacity(model, requests, texts, facts=requests, unseen=texts, sizes=(4,), layers=0)
    with pytest.raises(OptionError, match="draws"):
        fact_capacity(model, requests, texts, facts=requests, unseen=texts, draws=0, layers=0)
    with pytest.raises(OptionError, match="sizes=4"):
        fact_capacity(model, requests, texts, facts=requests, unseen=texts, sizes=4, layers=0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kinds": "mlp"}, "kinds='mlp'"),
        ({"kinds": ("q",)}, "kinds="),
        ({"measure": "loss"}, "measure='loss'"),
        ({"window": 0}, "window"),
        ({"corruption": "noise"}, "corruption='noise'"),
        ({"colour": 1}, "unknown option colour"),
    ],
)
def test_bad_options_of_a_trace_are_refused(model: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        trace_fact(model, microworld_facts("capital")[:3], **options)


def test_a_lone_subject_has_no_other_to_be_corrupted_by(model: Any) -> None:
    with pytest.raises(OptionError, match="no other fact has a subject"):
        trace_fact(model, microworld_facts("capital")[0])
    with pytest.raises(OptionError, match="scale=0"):
        Noise(scale=0)


def test_bad_ways_of_writing_and_judging_are_refused(
    model: Any, edit: FactEdit, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match="slack=1"):
        Rome(slack=1)
    with pytest.raises(OptionError, match="slack=0"):
        Memit(slack=0)
    with pytest.raises(OptionError, match="lr='fast'"):
        ValueSearch(lr="fast")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="holds no texts"):
        edit.evaluate(texts=[""])
    with pytest.raises(OptionError, match="level"):
        edit.evaluate(facts=microworld_facts()[:3], level=2.0)
    with pytest.raises(OptionError, match="not applied"):
        edit.undo()
    with edit, pytest.raises(OptionError, match="already applied"):
        edit.apply()
    with pytest.raises(StoreError, match="no fact edit can be read here"):
        FactEdit.load(tmp_path / "nothing", model)


def test_an_edit_says_whether_it_holds(
    model: Any, edit: FactEdit, texts: list[str], tmp_path: Path
) -> None:
    with edit:
        said = model.generate(edit.requests[0].prompt, 1).texts
    assert edit.holds == (True,) and said == (edit.requests[0].answer,)
    assert f"holds, probability {edit.reached[0]:.3f}" in repr(edit)
    short = Rome(search=ValueSearch(steps=1))
    failed = edit_facts(model, edit.requests, texts, layers=3, method=short)
    assert failed.holds == (False,) and failed.reached[0] < 0.1
    assert f"does not hold, probability {failed.reached[0]:.3f}" in repr(failed)
    failed.save(tmp_path / "failed")
    assert repr(FactEdit.load(tmp_path / "failed", model)) == repr(failed)


def test_a_folder_in_one_that_is_not_there_is_refused(edit: FactEdit, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot write here"):
        edit.save(tmp_path / "nowhere" / "edit")
    assert not (tmp_path / "nowhere").exists()
