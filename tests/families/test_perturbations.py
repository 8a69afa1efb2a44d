from __future__ import annotations

import pytest
from configs import build
from tiny import NAMES, loaded, noise, random_ids

import residuum as rz
from residuum.models import adapt
from residuum.runs.selfcheck import self_check


@pytest.mark.parametrize("name", NAMES)
def test_the_thorough_check_refuses_nothing(name):
    adapted = adapt(build(name))
    declared = set(adapted.taps)
    report = self_check(adapted, thorough=True)
    assert report.passed and report.refused == {} and set(adapted.taps) == declared
    moved = {check.sites[0] for check in report.checks if check.name.startswith("changing ")}
    assert moved == {address.name for address in declared}


@pytest.mark.parametrize("name", NAMES)
def test_every_site_of_every_layer_reaches_the_logits(name):
    model = loaded(name)
    ids = random_ids(2, 6)
    base = model.run(ids, capture=list(model.sites))
    for number, address in enumerate(model.sites):
        value = noise(base[address].shape, number)
        run = model.run(ids, edits=[rz.Add(address, value)])
        change = (run.logits - base.logits).abs().amax((1, 2))
        assert (change > 1e-4).all(), address
        assert list(run.fired.values()) == [1]


@pytest.mark.parametrize("name", NAMES)
def test_every_head_neuron_and_expert_reaches_the_logits(name):
    model = loaded(name)
    ids = random_ids(1, 6)
    base = model.run(ids, capture=list(model.sites))
    for address in (a for a in model.sites if a.layer == 1 and a.site.part_letter):
        axis = address.site.part_axis
        for part in {0, base[address].shape[axis] - 1}:
            letter = address.site.part_letter
            shape = base[address].select(axis, part).shape
            edit = rz.Add(f"{address}[{letter}{part}]", noise(shape, part) + 1)
            run = model.run(ids, edits=[edit])
            assert (run.logits - base.logits).abs().max() > 1e-5, edit.at


@pytest.mark.parametrize("name", NAMES)
def test_an_edit_at_the_last_position_leaves_earlier_ones(name):
    if name == "bert":
        pytest.skip("it attends both ways")
    model = loaded(name)
    ids = random_ids(2, 6)
    base = model.run(ids).logits
    for address in (a for a in model.sites if a.layer == 1):
        run = model.run(ids, edits=[rz.Scale(f"{address}@-1", -2.0)])
        assert (run.logits[:, :-1] - base[:, :-1]).abs().max() < 1e-5, address
        assert (run.logits[:, -1] - base[:, -1]).abs().max() > 1e-5, address
