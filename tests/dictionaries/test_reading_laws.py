"""Two readings merged are one reading of both texts, to the bit, wherever the text was cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from made_reading import SIZES, gathered, random_rows

from residuum.core import OptionError
from residuum.dictionaries.reading import Accumulator, Sizes
from residuum.dictionaries.reading.counts import EDGES
from residuum.dictionaries.reading.exact_sums import as_floats, carried, summed, summed_by


def same(first: Accumulator, second: Accumulator, but: tuple[str, ...] = ()) -> bool:
    ours, theirs = first.tensors(), second.tensors()
    return ours.keys() == theirs.keys() and all(
        np.array_equal(each, theirs[name], equal_nan=each.dtype.kind == "f")
        for name, each in ours.items()
        if name not in but
    )


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    cut=st.integers(0, 30),
    more=st.lists(st.integers(1, 29), max_size=4, unique=True),
    share=st.sampled_from([0.05, 0.3, 0.9]),
    signed=st.booleans(),
)
def test_merging_is_one_pass_over_both(
    seed: int, cut: int, more: list[int], share: float, signed: bool
) -> None:
    rows = random_rows(seed, 30, 12, 5, share, signed)
    whole = gathered(rows, 12, [])
    assert same(gathered(rows, 12, sorted(more)), whole)
    first, second = gathered(rows[:cut], 12, []), gathered(rows[cut:], 12, [])
    other = second.copy()
    other.merge(first)
    first.merge(second)
    assert same(first, whole)
    assert same(other, whole, but=("top.documents", "sample.documents"))  # numbered in its order


def test_an_example_is_of_its_text_and_token() -> None:
    rows = random_rows(4, 40, 6, 9, 0.4)
    for made in (gathered(rows, 6, []), gathered(rows, 6, [7, 8, 30])):
        for shelf in (made.top, made.sample):
            for latent, place in np.argwhere(np.isfinite(shelf.order)):
                text, at = shelf.documents[latent, place], shelf.positions[latent, place]
                ids, values, kept = rows[text]
                assert kept[at] and values[at, latent] == shelf.values[latent, place]
                assert ids[at] == shelf.ids[latent, place, SIZES.before]
                twins = [i for i, (own, *_) in enumerate(rows) if np.array_equal(own, ids)]
                assert text == twins[0]


def test_a_shelf_of_one_context_less_is_noticed() -> None:
    rows = random_rows(0, 30, 12, 5, 0.3)
    assert not same(gathered(rows, 12, []), gathered(rows[:-1], 12, []))


@pytest.mark.parametrize(("share", "signed"), [(0.1, False), (0.9, True)])
def test_everything_is_as_counted_by_brute_force(share: float, signed: bool) -> None:
    rows = random_rows(3, 40, 6, 9, share, signed)
    made = gathered(rows, 6, [11, 25])
    contexts: dict[tuple[int, ...], np.ndarray] = {}
    flat, fired_rows = [], np.zeros(6, int)
    for ids, values, kept in rows:
        flat.append(values[kept])
        fired_rows += (values[kept] > 0).any(0)
        for at in np.flatnonzero(kept):
            contexts[tuple(ids[: at + 1].tolist())] = values[at]
    x = np.concatenate(flat).astype(np.float64)
    counts = made.counts
    assert counts.tokens[0] == len(x) and counts.rows[0] == len(rows)
    assert (counts.active == (x > 0).sum(0)).all() and (counts.active_rows == fired_rows).all()
    assert (counts.largest == np.maximum(x.max(0), 0).astype(np.float32)).all()
    for latent in range(6):
        edges = np.concatenate([[0.0], EDGES, [np.inf]])
        own = x[:, latent][x[:, latent] > 0]
        assert (counts.histogram[:, latent] == np.histogram(own, edges)[0]).all()
        strongest = sorted((v[latent] for v in contexts.values() if v[latent] > 0), reverse=True)
        held = made.top.values[latent][np.isfinite(made.top.order[latent])]
        assert held.tolist() == strongest[: SIZES.top]
        n_sample = np.isfinite(made.sample.order[latent]).sum()
        assert n_sample == min(SIZES.sample, len(strongest))
    mean, deviation, kurtosis = counts.moments()
    centred = x - x.mean(0)
    assert np.allclose(mean, x.mean(0), rtol=1e-12, atol=1e-15)
    assert np.allclose(deviation, x.std(0), rtol=1e-9)
    assert np.allclose(kurtosis, (centred**4).mean(0) / (centred**2).mean(0) ** 2, rtol=1e-8)
    across = x - x.mean(1, keepdims=True)
    second = (across**2).mean(1)
    each = np.where(second > 0, (across**4).mean(1) / np.where(second > 0, second**2, 1), 0)
    assert counts.kurtosis_across() == pytest.approx(each.mean(), rel=1e-9)


def test_company_is_as_counted_by_brute_force() -> None:
    rows = random_rows(5, 60, 7, 30, 0.4)
    made = gathered(rows, 7, [20], Sizes(top=1, sample=1, before=0, after=0, company=10_000))
    contexts = {
        tuple(ids[: at + 1].tolist()): values[at] > 0
        for ids, values, kept in rows
        for at in np.flatnonzero(kept)
    }
    on = np.array(list(contexts.values()), float)
    assert len(made.company.keys) == len(on)
    found = made.company.partners(6)
    wanted = np.corrcoef(on.T)
    for latent in range(7):
        others = [i for i in range(7) if i != latent and (on[:, i] * on[:, latent]).sum() >= 2]
        order = sorted(others, key=lambda i: -wanted[latent, i])
        names = [int(i) for i in found["latents"][latent] if i >= 0]
        assert names == order
        for place, partner in enumerate(names):
            both = (on[:, latent] * on[:, partner]).sum()
            either = np.maximum(on[:, latent], on[:, partner]).sum()
            assert found["phi"][latent, place] == pytest.approx(wanted[latent, partner])
            assert found["jaccard"][latent, place] == pytest.approx(both / either)
            assert found["together"][latent, place] == both


def test_memory_does_not_grow_with_the_text() -> None:
    def size(rows: int) -> int:
        made = gathered(random_rows(1, rows, 10, 50, 0.3), 10, [])
        full = SIZES.company * 10 * 4  # where all units are active in all sampled contexts
        held = made.tensors()
        assert held.pop("company.latents").nbytes <= full
        return sum(each.nbytes for each in held.values())

    assert size(60) == size(200)


@given(st.lists(st.floats(-(2.0**60), 2.0**60, allow_subnormal=False), min_size=1, max_size=30))
def test_exact_sums_do_not_mind_the_order(numbers: list[float]) -> None:
    values = np.array(numbers)
    forward, back = summed(values[:, None]), summed(values[::-1][:, None])
    parts = carried(summed(values[:1, None]) + summed(values[1:, None]))
    grouped = summed_by(np.zeros(len(values), int), values, 1)
    assert (forward == back).all() and (forward == parts).all() and (forward == grouped).all()
    exact = sum(int(v * 2.0**64) for v in numbers) / 2**64
    assert as_floats(forward)[0] == pytest.approx(exact, rel=1e-15, abs=1e-18)


def test_other_sizes_are_refused() -> None:
    first, second = Accumulator(3, SIZES), Accumulator(4, SIZES)
    with pytest.raises(OptionError, match="3 and 4 units") as told:
        first.merge(second)
    assert told.value.mend == "read both with the same dictionary and options"
