"""Zero- and one-layer models: bigrams and skip-trigrams with known answers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

import residuum as rz
from residuum import heads
from residuum.core import AddressError, OptionError, TokenError
from residuum.models.native import NativeConfig, NativeForCausalLM

torch.set_num_threads(1)
TOKENS = 12
TRIGRAMS = {(2, 5, 7): 3.0, (4, 6, 9): 2.0, (1, 8, 3): 1.5}
"""A … B → C and what attending to A adds to C's logit."""


def bigram_source(seed=0):
    """A random table of what follows what, ``[before after]``."""
    generator = torch.Generator().manual_seed(seed)
    return torch.softmax(2 * torch.randn(TOKENS, TOKENS, generator=generator), -1)


def sampled(table, rows=40, length=60, seed=1):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, TOKENS, (rows, 1), generator=generator)
    for _ in range(length - 1):
        following = torch.multinomial(table[ids[:, -1]], 1, generator=generator)
        ids = torch.cat([ids, following], dim=1)
    return ids


def zero_layer(table):
    """Its direct path is the table exactly; its one head writes nothing."""
    config = NativeConfig(
        n_layers=1, n_heads=1, d_model=TOKENS, d_vocab=TOKENS, positions=None, attn_bias=False
    )
    model = NativeForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.model.embed.weight.copy_(torch.eye(TOKENS))
        model.lm_head.weight.copy_(table.log().T)
    return rz.load(model.eval(), check=False)


def one_layer(norm=None):
    """Head 0 is idle; head 1 holds exactly TRIGRAMS: B looks for A, and A raises C."""
    config = NativeConfig(
        n_layers=1,
        n_heads=2,
        d_model=2 * TOKENS,
        d_head=TOKENS,
        d_vocab=TOKENS,
        n_ctx=16,
        positions=None,
        attn_bias=False,
        attn_scale=1.0,
        normalization=norm,
    )
    model = NativeForCausalLM(config)
    attn = model.model.blocks[0].attn
    own = slice(TOKENS, 2 * TOKENS)  # head 1's rows; also the prediction's part of the stream
    with torch.no_grad():
        for parameter in model.model.embed.parameters():
            parameter.zero_()
        for module in (attn.q_proj, attn.k_proj, attn.v_proj, attn.o_proj, model.lm_head):
            module.weight.zero_()
        model.model.embed.weight[:, :TOKENS] = torch.eye(TOKENS)
        attn.k_proj.weight[own, :TOKENS] = torch.eye(TOKENS)
        attn.v_proj.weight[own, :TOKENS] = torch.eye(TOKENS)
        model.lm_head.weight[:, TOKENS:] = torch.eye(TOKENS)
        for (a, b, c), size in TRIGRAMS.items():
            attn.q_proj.weight[TOKENS + a, b] = 6.0
            attn.o_proj.weight[TOKENS + c, TOKENS + a] = size
    return rz.load(model.eval(), check=False)


def test_a_zero_layer_model_is_its_bigram_table():
    table = bigram_source()
    ids = sampled(table, rows=200)
    found = heads.bigram_table(zero_layer(table), ids)
    assert found.bigrams == 200 * 59
    assert found.kl_bits < 0.05 < 0.5 < found.unigram_kl_bits < found.uniform_kl_bits
    assert found.correlation > 0.95
    other = heads.bigram_table(zero_layer(bigram_source(seed=9)), ids)
    assert other.kl_bits > 1 and abs(other.correlation) < 0.4


def test_bigrams_are_counted_right():
    """Against plain counting, rows apart."""
    rows = [[1, 2, 1, 2, 3], [2, 3, 1]]
    found = heads.bigram_table(zero_layer(bigram_source()), rows, min_count=2, top=2)
    assert found.bigrams == 6 and found.pairs == len({p for row in rows for p in pairwise(row)})
    by_token = {row.token: row for row in found.rows}
    assert set(by_token) == {1, 2} and by_token[2].count == 3
    assert by_token[2].corpus == (("<3>", pytest.approx(2 / 3)), ("<1>", pytest.approx(1 / 3)))
    direct = torch.softmax(zero_layer(bigram_source()).run(torch.tensor([[2]])).logits[0, -1], -1)
    expected = sum(p * np.log2(p / float(direct[t])) for t, p in ((3, 2 / 3), (1, 1 / 3)))
    assert by_token[2].kl_bits == pytest.approx(expected, abs=1e-5)


def test_texts_are_a_corpus(tmp_path):
    model = rz.load("microworld", check=False)
    task = rz.task("ioi", model, n=40)
    texts = [model.to_string(row[1:n]) for row, n in zip(task.clean, task.lengths, strict=True)]
    found = heads.bigram_table(model, texts)
    assert found.rows and all(row.count >= 20 for row in found.rows)
    for suffix in ("json", "csv", "html", "png"):
        found.save(tmp_path / f"x.{suffix}")
    assert len(found.to_dataframe()) == len(found.rows)


def test_hand_set_skip_trigrams_are_listed_and_obeyed():
    found = heads.skip_trigrams(one_layer(), 3)
    assert [(e.source, e.here, e.predicted) for e in found.found] == list(TRIGRAMS)
    assert all(each.head == "L0H1" for each in found.found)
    assert found.obeyed_frac == 1.0 and all(each.rank == 1.0 for each in found.found)
    for each in found.found:
        size = TRIGRAMS[(each.source, each.here, each.predicted)]
        assert each.raised == pytest.approx(size * (1 - 1 / TOKENS))
        assert each.score == pytest.approx(6.0 * (1 - 1 / TOKENS))
        assert each.strength == pytest.approx(each.score * each.raised)
        assert each.direct == 0  # what B itself says of C
        # one of nine positions scores 6, the others 0: A takes e⁶ / (e⁶ + 8) of the attention
        share = np.exp(6) / (np.exp(6) + 8)
        assert each.moved == pytest.approx(share * each.raised, rel=0.05)
        assert each.interval[0] <= each.moved <= each.interval[1]
    assert found.chance_frac < 0.6


def test_only_what_the_weights_hold_is_listed():
    """The idle head has none; asked for forty, the other has its three."""
    found = heads.skip_trigrams(one_layer(), 40, checks=4)
    assert {(e.source, e.here, e.predicted) for e in found.found} == set(TRIGRAMS)
    assert heads.skip_trigrams(one_layer(), 3, head=0, checks=0).found == ()


@pytest.mark.parametrize("normalization", [None, "layernorm"])
def test_a_random_model_raises_its_strongest_more_often_than_chance(normalization):
    config = NativeConfig(
        n_layers=1, n_heads=3, d_model=24, d_vocab=40, n_ctx=12, normalization=normalization
    )
    torch.manual_seed(2)
    model = NativeForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.4 * torch.randn_like(parameter))
    found = heads.skip_trigrams(rz.load(model.eval()), 20, checks=64)
    assert len({each.head for each in found.found}) > 1
    assert found.risen_frac > 0.7 > 0.55 > found.chance_frac
    assert found.obeyed_frac == 0 == found.beyond_frac  # and yet it learned nothing
    again = heads.skip_trigrams(rz.load(model), 20, checks=64)
    assert again.found == found.found


def noise(seed, **sizes):
    torch.manual_seed(seed)
    made = {"n_heads": 2, "d_model": 16, "d_vocab": 20, "n_ctx": 12} | sizes
    return rz.load(NativeForCausalLM(NativeConfig(n_layers=1, **made)).eval(), check=False)


@pytest.mark.parametrize("size", [0.02, 0.3])
def test_noise_does_not_look_obeyed(size):
    """Nearly all of its strongest triples rise; in at most 1 of 21 models is one beyond chance."""
    found = [heads.skip_trigrams(noise(s, initializer_range=size), 5, checks=16) for s in range(20)]
    assert np.mean([each.risen_frac for each in found]) > 0.8
    assert sum(each.obeyed_frac > 0 for each in found) <= 4  # 1 expected; 5 or more in .3 % of runs
    assert np.mean([each.obeyed_frac for each in found]) < 0.05


def test_what_was_learned_is_obeyed():
    """The trained one-layer organism holds its trigrams far more strongly than noise would."""
    found = heads.skip_trigrams(rz.load("skip_trigram_1l", check=False), 20, checks=16)
    assert found.obeyed_frac == 1.0
    assert min(each.strength for each in found.found) > 2 * found.null_strength


def test_the_null_is_of_the_heads_asked_for():
    """The idle head of the hand-set model writes nothing, however it is turned."""
    assert heads.skip_trigrams(one_layer(), 3, head=0, checks=0).null_strength == 0
    found = heads.skip_trigrams(one_layer(), 3, checks=0, draws=3)
    assert found.draws == 3 and 0 < found.null_strength < found.found[-1].strength
    assert found.beyond_frac == 1.0 and found.obeyed_frac != found.obeyed_frac
    assert "1 of 4 draws" in " ".join(found.notes) and "stronger than noise" in repr(found)


def test_one_head_cannot_tell_which_of_two_answers_goes_with_which_cue():
    """A … B → C and A … B' → C' bring A … B → C' along; the direct path tells them apart."""
    model = one_layer()
    attn, unembed = model.hf.model.blocks[0].attn, model.hf.lm_head.weight
    with torch.no_grad():
        attn.q_proj.weight[TOKENS + 2, 6] = 6.0  # cue 6 looks for 2 as well
        attn.o_proj.weight[TOKENS + 9, TOKENS + 2] = 3.0  # and 2 raises 9 beside 7
        unembed[7, 5] = unembed[9, 6] = 2.0  # by itself, 5 asks for 7 and 6 for 9
    found = {(e.source, e.here, e.predicted): e for e in heads.skip_trigrams(model, 8).found}
    meant, bugs = [(2, 5, 7), (2, 6, 9)], [(2, 5, 9), (2, 6, 7)]
    assert {*meant, *bugs} <= set(found)
    for each, bug in zip(meant, bugs, strict=True):  # of one cue
        assert found[each].strength == pytest.approx(found[bug].strength)
    assert all(found[each].direct > 1.5 for each in meant)
    assert all(found[each].direct < 0.5 for each in bugs)


def test_a_norm_is_taken_into_account():
    found = heads.skip_trigrams(one_layer("layernorm"), 3)
    assert {(e.source, e.here, e.predicted) for e in found.found} == set(TRIGRAMS)
    assert found.obeyed_frac == 1.0


def test_bands_do_not_change_the_list(monkeypatch):
    from residuum.heads import skip_trigram_search

    whole = heads.skip_trigrams(one_layer(), 3, checks=0)
    monkeypatch.setattr(skip_trigram_search, "BAND", 20)
    parts = heads.skip_trigrams(one_layer(), 3, checks=0)
    assert [str(e) for e in whole.found] == [str(e) for e in parts.found]
    assert whole.obeyed_frac != whole.obeyed_frac and whole.checks == 0


def test_skip_trigrams_as_files(tmp_path):
    found = heads.skip_trigrams(one_layer(), 3, checks=4)
    for suffix in ("json", "csv", "html", "png"):
        found.save(tmp_path / f"x.{suffix}")
    assert list(found.to_dataframe()["A"]) == ["<2>", "<4>", "<1>"]
    data = found.to_json()
    assert data["provenance"]["seed"] == 0 and data["null_strength"] == found.null_strength
    assert [each["obeyed"] for each in data["found"]] == list(found.to_dataframe()["obeyed"])
    assert [row[-1] for row in found.figure().rows] == ["yes"] * 3


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m: heads.skip_trigrams(m), AddressError, "4 layers with MLPs"),
        (lambda m: heads.skip_trigrams(one_layer(), head=2), AddressError, "head 2"),
        (lambda m: heads.skip_trigrams(one_layer(), length=16), OptionError, "does not fit"),
        (lambda m: heads.skip_trigrams(one_layer(), 0), OptionError, "n=0"),
        (lambda m: heads.skip_trigrams(one_layer(), draws=0), OptionError, "draws=0"),
        (lambda m: heads.skip_trigrams(one_layer(), top=3), OptionError, "unknown option top"),
        (lambda m: heads.bigram_table(m, ["Mary"], prepend_bos=False), TokenError, "too short"),
        (lambda m: heads.bigram_table(m, ["Mary went ."]), TokenError, "20 times"),
        (lambda m: heads.bigram_table(m, []), TokenError, "too short"),
        (lambda m: heads.bigram_table(m, [[1, 9999]]), AddressError, "9999"),
        (lambda m: heads.bigram_table(m, [[0.5, 1.5]]), TokenError, "token ids"),
        (lambda m: heads.bigram_table("m", ["a b"]), OptionError, "needs a loaded model"),
    ],
)
def test_bad_input_is_refused(call, error, words):
    with pytest.raises(error, match=words) as refused:
        call(rz.load("microworld", check=False))
    assert refused.value.mend
