from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import pytest
import torch

import residuum as rz
from residuum.core import AddressError, EditNeverFired, OptionError, ShapeError, TokenError

sys.path.insert(0, str(Path(__file__).parents[1] / "families"))

from configs import CAUSAL, build

torch.set_num_threads(1)

NAMES = ("gpt2", "llama", "gemma2", "bloom", "falcon", "gptj", "gpt_neo", "mixtral", "gpt_oss")
SLIDING = ("mistral", "gemma3_text", "cohere2")
STEPS = 8


@cache
def loaded(name):
    return rz.load(build(name))


def prompt(length=6, seed=2):
    return torch.randint(3, 101, (1, length), generator=torch.Generator().manual_seed(seed))


def vector(width, seed=0, size=1.0):
    return size * torch.randn(width, generator=torch.Generator().manual_seed(seed))


def absolute(edit_at, length):
    """The edit for the whole text: negative positions counted from the prompt's end."""

    def at(text):
        site, _, pos = text.partition("@")
        return f"{site}@{int(pos) % length}" if pos.startswith("-") else text

    return edit_at(at)


def step_by_step(model, ids, edits, steps):
    made = []
    for _ in range(steps):
        logits = model.run(ids, edits=edits).logits[0, -1]
        made.append(int(logits.argmax()))
        ids = torch.cat([ids, torch.tensor([[made[-1]]])], dim=1)
    return made


EDITS = {
    "zero a head": lambda at: [rz.Zero(at("L1.z[H2]"))],
    "scale z": lambda at: [rz.Scale(at("L*.z"), 0.5)],
    "add at the stream": lambda at: [rz.Add(at("L1.resid_post"), vector(32, 1))],
    "add at one position": lambda at: [rz.Add(at("L1.resid_post@2"), vector(32, 1, 3.0))],
    "add at the prompt's end": lambda at: [rz.Add(at("L0.resid_post@-1"), vector(32, 1, 3.0))],
    "add at the prompt's second last": lambda at: [rz.Scale(at("L1.resid_pre@-2"), -1.0)],
    "scale the pattern": lambda at: [rz.Scale(at("L0.pattern[H1]"), 0.3)],
    "pattern row of one position": lambda at: [rz.Zero(at("L0.pattern@3"))],
    "pattern row of the prompt's end": lambda at: [rz.Zero(at("L0.pattern[H0]@-1"))],
    "scores": lambda at: [rz.Scale(at("L1.scores"), 0.2)],
    "k": lambda at: [rz.Scale(at("L1.k"), -0.5)],
    "v": lambda at: [rz.Scale(at("L1.v"), -0.5)],
    "q": lambda at: [rz.Scale(at("L1.q"), -0.5)],
    "k of a head": lambda at: [rz.Zero(at("L0.k[H0]"))],
    "k at one position": lambda at: [rz.Scale(at("L0.k@1"), -3.0)],
    "v at one position": lambda at: [rz.Scale(at("L0.v@5"), -3.0)],
    "v at the prompt's end": lambda at: [rz.Scale(at("L0.v@-1"), -3.0)],
    "q at one position": lambda at: [rz.Scale(at("L0.q@4"), -3.0)],
    "k_pre": lambda at: [rz.Scale(at("L1.k_pre"), -0.5)],
    "q_pre at one position": lambda at: [rz.Scale(at("L1.q_pre@3"), -2.0)],
    "k_in": lambda at: [rz.Add(at("L1.k_in[H0]"), vector(32, 2))],
    "v_in at one position": lambda at: [rz.Add(at("L1.v_in@2"), vector(32, 2, 3.0))],
    "q_in": lambda at: [rz.Add(at("L1.q_in[H1]"), vector(32, 2))],
    "mlp_in": lambda at: [rz.Scale(at("L1.mlp_in"), -1.0)],
    "head_out": lambda at: [rz.Zero(at("L1.head_out[H1]"))],
    "attn_out": lambda at: [rz.Zero(at("L0.attn_out"))],
    "mlp_out": lambda at: [rz.Scale(at("L2.mlp_out"), -1.0)],
    "erase": lambda at: [rz.Erase(at("L1.resid_post"), vector(32, 4))],
    "set": lambda at: [rz.Set(at("L2.mlp_out"), vector(32, 5))],
    "logits": lambda at: [rz.Add(at("logits"), vector(101, 6, 0.1))],
    "embed": lambda at: [rz.Scale(at("embed"), -0.5)],
    "ln1": lambda at: [rz.Scale(at("L1.ln1"), 0.5)],
    "several": lambda at: [
        rz.Add(at("L0.resid_post@-1"), vector(32, 1, 2.0)),
        rz.Scale(at("L1.pattern[H1]"), 0.3),
        rz.Scale(at("L2.v[H1]"), -1.0),
    ],
}


@pytest.mark.parametrize("kind", EDITS)
@pytest.mark.parametrize("name", NAMES)
def test_greedy_equals_step_by_step(name, kind):
    model, ids = loaded(name), prompt()
    edits = EDITS[kind](str)
    found = model.generate(ids, STEPS, edits=edits, stop_at_end=False)
    expected = step_by_step(model, ids, absolute(EDITS[kind], ids.shape[1]), STEPS)
    assert found.ids[0].tolist() == expected
    assert all(count >= 1 for count in found.fired.values())


@pytest.mark.parametrize(
    "kind", ["k at one position", "v at one position", "k", "pattern row of one position"]
)
@pytest.mark.parametrize("name", SLIDING)
def test_sliding_windows(name, kind):
    model, ids = loaded(name), prompt()
    found = model.generate(ids, STEPS, edits=EDITS[kind](str), stop_at_end=False)
    assert found.ids[0].tolist() == step_by_step(model, ids, EDITS[kind](str), STEPS)


@pytest.mark.parametrize("name", CAUSAL)
def test_greedy_equals_transformers(name):
    model, ids = loaded(name), prompt(7)
    expected = model.hf.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=STEPS, do_sample=False,
        eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    found = model.generate(ids, STEPS, stop_at_end=False)
    assert found.ids[0].tolist() == expected[0, 7:].tolist()
    looked = model.generate(ids, STEPS, capture=list(model.sites), stop_at_end=False)
    assert looked.ids.tolist() == found.ids.tolist()


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "add at the prompt's end",
        "pattern row of the prompt's end",
        "v at the prompt's end",
        "k at one position",
        "scale z",
    ],
)
@pytest.mark.parametrize("name", (*NAMES, "mistral", "falcon_alibi", "opt"))
def test_batched_equals_single(name, kind):
    model = loaded(name)
    rows = [prompt(n, seed=n)[0].tolist() for n in (5, 9, 7)]
    edits = EDITS[kind](str) if kind else []
    batch = model.generate(rows, STEPS, edits=edits, stop_at_end=False)
    assert not bool(batch.prompts.mask[0, 0])
    for index, row in enumerate(rows):
        alone = model.generate([row], STEPS, edits=edits, stop_at_end=False)
        assert batch.ids[index].tolist() == alone.ids[0].tolist()
    assert batch.lengths.tolist() == [STEPS] * 3


@pytest.mark.parametrize("name", CAUSAL)
def test_every_family_generates_in_batches(name):
    model = loaded(name)
    rows = [prompt(n, seed=n)[0].tolist() for n in (4, 10, 6)]
    edits = [rz.Scale("L1.z[H1]", 0.3), rz.Add("L0.resid_post@-1", vector(32, 1))]
    batch = model.generate(rows, STEPS, edits=edits, stop_at_end=False)
    for index, row in enumerate(rows):
        made = step_by_step(
            model,
            torch.tensor([row]),
            [edits[0], rz.Add(f"L0.resid_post@{len(row) - 1}", vector(32, 1))],
            STEPS,
        )
        assert batch.ids[index].tolist() == made


@pytest.mark.parametrize("name", (*NAMES, "mistral"))
def test_captures_of_each_step_are_those_of_one_whole_run(name):
    model, ids = loaded(name), prompt()
    sites = [a for a in model.sites if a.name not in ("scores", "pattern", "logits", "ln_final")]
    made = model.generate(ids, 4, capture=sites, stop_at_end=False)
    text = torch.cat([ids, made.ids[:, :3]], dim=1)
    whole = model.run(text, capture=sites)
    for address in sites:
        steps = made[address]
        assert [each.shape[1] for each in steps] == [6, 1, 1, 1], address
        found = torch.cat(steps, dim=1)
        assert torch.allclose(found, whole[address], atol=2e-5), address


@pytest.mark.parametrize("name", ["gpt2", "llama", "bloom", "gpt_oss"])
def test_captures_of_patterns_grow(name):
    model, ids = loaded(name), prompt()
    made = model.generate(ids, 4, capture=["L1.pattern"], stop_at_end=False)
    assert [tuple(each.shape) for each in made["L1.pattern"]] == [
        (1, 4, 6, 6), (1, 4, 1, 7), (1, 4, 1, 8), (1, 4, 1, 9),
    ]  # fmt: skip
    whole = model.run(torch.cat([ids, made.ids[:, :3]], dim=1), capture=["L1.pattern"])
    assert torch.allclose(made["L1.pattern"][3][0, :, 0], whole["L1.pattern"][0, :, -1], atol=1e-5)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_captures_at_a_position_come_once(name):
    model, ids = loaded(name), prompt()
    made = model.generate(
        ids, 4, capture=["L1.z@-1", "L1.resid_post@7", "L1.k@7"], stop_at_end=False
    )
    text = torch.cat([ids, made.ids[:, :3]], dim=1)
    whole = model.run(text, capture=["L1.z@5", "L1.resid_post@7", "L1.k@7"])
    assert len(made["L1.z@-1"]) == len(made["L1.resid_post@7"]) == len(made["L1.k@7"]) == 1
    assert torch.allclose(made["L1.z@-1"][0], whole["L1.z@5"], atol=1e-5)
    assert torch.allclose(made["L1.resid_post@7"][0], whole["L1.resid_post@7"], atol=1e-5)
    assert torch.allclose(made["L1.k@7"][0], whole["L1.k@7"], atol=1e-5)


def test_an_edit_of_a_generated_position():
    model, ids = loaded("llama"), prompt()
    for kind in ("L1.resid_post@8", "L0.k@8", "L0.pattern@8"):
        edits = [rz.Scale(kind, -2.0)]
        found = model.generate(ids, STEPS, edits=edits, stop_at_end=False)
        made, text = [], ids
        for _ in range(STEPS):
            active = edits if text.shape[1] > 8 else []
            made.append(int(model.run(text, edits=active).logits[0, -1].argmax()))
            text = torch.cat([text, torch.tensor([[made[-1]]])], dim=1)
        assert found.ids[0].tolist() == made
        assert list(found.fired.values()) == [1]


def test_a_position_that_is_never_reached():
    with pytest.raises((EditNeverFired, AddressError)):
        loaded("llama").generate(prompt(), 3, edits=[rz.Zero("L1.z@30")])
    with pytest.raises(AddressError):
        loaded("llama").generate(prompt(), 3, edits=[rz.Zero("L1.z@-7")])


def test_sampling_is_seeded():
    model = loaded("gpt2")
    rows = [prompt(5)[0].tolist(), prompt(7)[0].tolist()]
    draw = lambda **o: model.generate(rows, 12, temperature=1.5, stop_at_end=False, **o).ids  # noqa: E731
    assert torch.equal(draw(seed=1), draw(seed=1))
    assert not torch.equal(draw(seed=1), draw(seed=2))
    torch.manual_seed(0)
    first = draw(seed=1)
    torch.manual_seed(1)
    assert torch.equal(first, draw(seed=1))
    made = model.generate(rows, 3, temperature=1.5, seed=4)
    assert made.provenance.seed == 4 and made.sampling.seed == 4


def test_top_k_takes_only_the_likeliest():
    model, ids = loaded("gpt2"), prompt()
    greedy = model.generate(ids, STEPS, stop_at_end=False).ids
    assert torch.equal(
        model.generate(ids, STEPS, temperature=2.0, top_k=1, stop_at_end=False).ids, greedy
    )
    best = model.run(ids).logits[0, -1].topk(3).indices.tolist()
    seen = {
        int(model.generate(ids, 1, temperature=5.0, top_k=3, seed=s).ids[0, 0]) for s in range(30)
    }
    assert seen == set(best)


def test_an_encoder_does_not_generate():
    with pytest.raises(OptionError, match="encoder"):
        loaded("bert").generate(prompt(), 3)


def test_the_context_is_not_exceeded():
    model = loaded("gpt2")
    with pytest.raises(OptionError, match=r"60 tokens of prompt and 5 new ones exceed .* 64"):
        model.generate(prompt(60), 5)
    assert model.generate(prompt(60), 4, stop_at_end=False).ids.shape == (1, 4)
    with pytest.raises(TokenError):
        model.generate(prompt(65), 1)


@pytest.mark.parametrize(
    "options",
    [
        {"max_new_tokens": 0},
        {"nonsense": 1},
        {"edits": [rz.Freeze("L0.z")]},
        {"temperature": -1.0},
        {"temperature": 1.0, "top_k": 0},
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(OptionError):
        loaded("gpt2").generate(prompt(), **options)


def word_tokenizer():
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    words = ["[PAD]", "[BOS]", "[EOS]", *(f"w{n}" for n in range(3, 101))]
    plain = Tokenizer(WordLevel({word: n for n, word in enumerate(words)}, unk_token="[PAD]"))
    plain.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="[PAD]", bos_token="[BOS]", eos_token="[EOS]"
    )


def test_rows_stop_at_the_end_token():
    model = rz.load(build("gpt2"), tokenizer=word_tokenizer())
    push = torch.zeros(101)
    push[2] = 100.0
    texts = ["w5 w6 w7", "w8 w9 w10 w11 w12"]
    made = model.generate(texts, 6, edits=[rz.Add("logits@-1", push)])
    assert made.ids.tolist() == [[2], [2]] and made.lengths.tolist() == [1, 1]
    going = model.generate(texts, 6, edits=[rz.Add("logits@-1", push)], stop_at_end=False)
    assert going.ids.shape == (2, 6) and going.ids[:, 0].tolist() == [2, 2]
    one = model.generate(texts, 6, edits=[rz.Add("logits@4", push)])
    free = model.generate(texts, 6, stop_at_end=False)
    assert one.ids[1, 0] == 2 and one.ids[1, 1:].tolist() == [0] * (one.ids.shape[1] - 1)
    assert one.lengths.tolist() == [3, 1]
    assert one.ids[0, :2].tolist() == free.ids[0, :2].tolist() and one.ids[0, 2] == 2
    assert one.texts[0].split() == [f"w{n}" for n in free.ids[0, :2].tolist()] + ["[EOS]"]


def test_texts_are_padded_on_the_left_and_decoded():
    model = rz.load(build("llama"), tokenizer=word_tokenizer())
    made = model.generate(["w5 w6", "w7 w8 w9"], 3, stop_at_end=False)
    assert made.prompts.mask.tolist() == [[False, True, True], [True, True, True]]
    assert len(made.texts) == 2


def test_the_model_is_as_before_after_an_error_inside():
    model, ids = loaded("llama"), prompt()
    before = model.run(ids).logits
    with pytest.raises(ShapeError):
        model.generate(ids, 3, edits=[rz.Set("L1.pattern", torch.zeros(5))])
    assert torch.equal(model.run(ids).logits, before)
    assert model.hf.config._attn_implementation != "residuum"


@pytest.mark.parametrize("name", ["gpt2", "llama", "mistral", "bloom"])
@pytest.mark.parametrize("span", ["2:", "3:5", "-2:", ":2", "7:", "4:8"])
def test_spans_go_on_into_what_is_generated(name, span):
    model, ids = loaded(name), prompt()
    for site in ("L1.z[H1]", "L0.k", "L1.resid_post"):
        found = model.generate(ids, STEPS, edits=[rz.Scale(f"{site}@{span}", -1.5)]).ids[0].tolist()
        whole = span.replace("-2", "4")
        made, text = [], ids
        for _ in range(STEPS):
            start = int(whole.split(":")[0] or 0)
            edits = [rz.Scale(f"{site}@{whole}", -1.5)] if start < text.shape[1] else []
            made.append(int(model.run(text, edits=edits).logits[0, -1].argmax()))
            text = torch.cat([text, torch.tensor([[made[-1]]])], dim=1)
        assert found == made, site


def test_an_edit_does_not_change_with_the_model_that_writes_in_place():
    model, ids = loaded("falcon"), prompt()
    edits = [rz.Set("L1.mlp_out", vector(32, 3))]
    first = model.run(ids, edits=edits).logits
    split = model.run(ids.expand(3, -1), edits=edits, batch_size=1).logits
    for row in split:
        assert torch.allclose(row, first[0], atol=1e-5)
