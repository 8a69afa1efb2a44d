from __future__ import annotations

import pytest
import torch
from tiny import NAMES, gap, loaded, pad, ragged_ids

import residuum as rz

SITES = ["resid_post", "z", "pattern"]


def real_part(value, name, start, length):
    """One row's values at its real tokens."""
    stop = start + length
    return value[:, start:stop, start:stop] if name == "pattern" else value[start:stop]


@pytest.mark.parametrize("left", [False, True], ids=["right", "left"])
@pytest.mark.parametrize("name", NAMES)
def test_padded_batches_equal_single_prompts(name, left):
    model = loaded(name)
    rows = ragged_ids()
    ids, mask = pad(rows, left)
    batch = model.run(ids, attention_mask=mask, capture=SITES)
    plain = model.run(ids, attention_mask=mask)
    for value in (batch.logits, plain.logits, *batch.captured.values()):
        assert torch.isfinite(value).all()
    for index, row in enumerate(rows):
        start = ids.shape[1] - len(row) if left else 0
        alone = model.run(row, capture=SITES)
        for logits in (batch.logits, plain.logits):
            found = logits[index, start : start + len(row)]
            assert gap(found, alone.logits[0]) < 1e-5
        assert gap(batch.last[index], alone.last[0]) < 1e-5
        for address, value in batch.captured.items():
            found = real_part(value[index], address.name, start, len(row))
            assert gap(found, alone.captured[address][0]) < 1e-5, address


@pytest.mark.parametrize("name", ["gpt2", "llama", "bloom", "falcon_alibi", "bert"])
def test_lists_are_padded_on_the_right(name):
    model = loaded(name)
    rows = ragged_ids()
    run = model.run(rows)
    ids, mask = pad(rows, left=False)
    assert torch.equal(run.batch.mask, mask.bool())
    assert gap(run.logits, model.run(ids, attention_mask=mask).logits) == 0


@pytest.mark.parametrize("left", [False, True], ids=["right", "left"])
@pytest.mark.parametrize("name", ["gpt2", "llama", "bloom", "mixtral", "gpt_oss", "gptj"])
def test_positions_of_edits_and_captures_count_real_tokens(name, left):
    model = loaded(name)
    rows = ragged_ids()
    ids, mask = pad(rows, left)
    for place in ("L1.resid_post@2", "L1.resid_post@-2", "L1.z[H1]@-1", "L1.pattern[H0]@-1"):
        edits, capture = [rz.Scale(place, 0.3)], ["L2.z@-1", "L1.resid_post@2", place]
        batch = model.run(ids, attention_mask=mask, edits=edits, capture=capture)
        for index, row in enumerate(rows):
            alone = model.run(row, edits=edits, capture=capture)
            assert gap(batch.last[index], alone.last[0]) < 1e-5, place
            for each in capture[:2]:
                assert gap(batch[each][index], alone[each][0]) < 1e-5


def test_reductions_leave_padding_out():
    model = loaded("llama")
    rows = ragged_ids()
    single = [model.run(row, capture="L1.resid_post")["L1.resid_post"][0] for row in rows]
    expected = torch.cat(single).mean(0)
    for left in (False, True):
        ids, mask = pad(rows, left)
        run = model.run(ids, attention_mask=mask, capture="L1.resid_post", reduce="mean")
        assert gap(run["L1.resid_post"], expected) < 1e-5
