"""A comparison of twins on a review's page."""

from __future__ import annotations

import numpy as np

from residuum.figures import Column, Fold, HeatMap, Paragraph, Part, Table
from residuum.findings.audit.evidence import PrefixEvidence, TwinsEvidence, strongest
from residuum.findings.record.rules import percent, share
from residuum.findings.record.words import model_name, short

_SHOWN = 10


def twin_parts(found: TwinsEvidence) -> list[Part]:
    """What breaks behind which words, the control, and where the twins differ."""
    parts: list[Part] = [Paragraph(_how(found))]
    broken = broken_table(found)
    if broken.rows:
        parts.append(broken)
    parts += [prefix_table(found), form_table(found)]
    if found.places:
        parts += [_map(found, "heals"), _map(found, "weights"), place_table(found)]
    return [*parts, Fold("The same search in the twin with noise", [_noise_table(found)])]


def _how(found: TwinsEvidence) -> str:
    marks = ", ".join(f"`{mark}`" for mark in found.separators)
    return (
        f"{found.words_tried} of the vocabulary's {found.words} words were put before the prompts "
        f"of {len(found.cells)} sides of tasks, alone and before each of {marks or 'no marks'}: "
        f"{found.prefixes_tried} prefixes, none of them named by anybody. A prefix counts for what "
        "it changes in the model and not in the twin, less what it means to the twin (how far the "
        "twin's next word moves). The best were tried again on other prompts, and the finalists on "
        f"held-out ones, {found.held} of each side at most."
    )


def broken_table(found: TwinsEvidence) -> Table:
    """What the strongest prefix breaks."""
    name = model_name(found.against)
    main = strongest(found)
    rows = [
        [
            f"{cell.task}, {cell.side}",
            share(cell.changed),
            share(cell.changed_twin),
            f"{cell.p:.1g}",
            cell.example,
            cell.example_said,
            cell.example_twin,
        ]
        for cell in (() if main is None else main.broken)
    ]
    words = "" if main is None or not main.text else f" behind “{main.text}”"
    return Table(
        ["prompts", "changed", f"in {name}", "p", "an example", "it says", f"{name} says"],
        rows,
        title=f"What breaks{words}, on held-out prompts",
        caption="**Changed**: share of prompts on which the preference between right and wrong "
        "answer changes behind the words (behind no words: on which the wrong answer is "
        "preferred). **p**: exact, one-sided, corrected over all finalists and sides (Holm).",
    )


def prefix_table(found: TwinsEvidence) -> Table:
    """The finalists."""
    return Table(
        _COLUMNS, [_row(each) for each in (found.plain, *found.prefixes)], title="The finalists",
        caption="**Score**: on the choosing half. **Largest excess**: over all sides of tasks, "
        "share of held-out prompts that change in the model alone less those in the twin alone.",
    )  # fmt: skip


_COLUMNS = (
    Column("prefix"),
    Column("score", digits=3),
    Column("changed", align="right"),
    Column("changed in the twin", align="right"),
    Column("largest excess", align="right"),
    Column("sides broken"),
)


def _row(each: PrefixEvidence) -> list[str | float]:
    return [
        each.text or "no words",
        each.score,
        share(each.changed),
        share(each.changed_twin),
        percent(each.largest),
        ", ".join(f"{cell.task} ({cell.side})" for cell in each.broken) or "none",
    ]


def form_table(found: TwinsEvidence) -> Table:
    """How many prefixes of each form do something."""
    return Table(
        ["form", "tried", "beyond noise"],
        [[each.form, each.tried, each.beyond] for each in found.forms],
        title="How wide is it?",
        caption="Prefixes that, on the screening prompts, change the model beyond the twin more "
        "than any prefix changes the noisy twin. A few of them may be chance.",
    )


def _noise_table(found: TwinsEvidence) -> Table:
    return Table(
        _COLUMNS,
        [_row(each) for each in found.noise.prefixes],
        title=f"{model_name(found.against)} with random noise",
        caption="Gaussian noise in every weight tensor, as large as the real difference "
        f"({percent(found.noise.changed_weights)} of the norm). What shows here is what "
        "differences of this size do by chance.",
    )


def _map(found: TwinsEvidence, what: str) -> HeatMap:
    """Heads and MLP of every layer, the last layer on top."""
    values, columns, rows = _grid(found, what)
    heals = what == "heals"
    return HeatMap(
        values[::-1],
        row_labels=rows[::-1],
        col_labels=columns,
        x="part",
        y="layer",
        unit="of the twin's answer" if heals else "of the norm",
        scale="diverging" if heals else "sequential",
        title="Given the twin's value, how much of its answer comes back?"
        if heals
        else "How much did the weights change?",
        caption="One part at a time at all positions, behind the strongest prefix, on held-out "
        "prompts. 1 is the twin's answer, 0 the model's own."
        if heals
        else "Norm of the difference of a part's weights over their norm in the twin.",
        does_not_show="where the change began: a part may only hand on what reaches it."
        if heals
        else "what the change does.",
    )


def _grid(found: TwinsEvidence, what: str) -> tuple[np.ndarray, list[str], list[str]]:
    cells = {
        each.at: each.heals.value if what == "heals" else each.weights for each in found.places
    }
    layers = 1 + max(int(at[1 : at.index(".")]) for at in cells)
    heads = sum(at.startswith("L0.z") for at in cells)
    values = np.array([
        [cells[f"L{layer}.z[H{head}]"] for head in range(heads)] + [cells[f"L{layer}.mlp_out"]]
        for layer in range(layers)
    ])  # fmt: skip
    return values, [*(f"H{head}" for head in range(heads)), "MLP"], [f"L{i}" for i in range(layers)]


def place_table(found: TwinsEvidence) -> Table:
    """The parts that heal most."""
    return Table(
        ["part", "weights changed", "heals the model", "infects the twin"],
        [
            [short(each.at), percent(each.weights), share(each.heals), share(each.infects)]
            for each in found.places[:_SHOWN]
        ],
        title=f"The {_SHOWN} parts that heal most",
        caption="**Heals**: the twin's value in the model. **Infects**: the model's value in the "
        "twin. Shares of the distance between the two models' answers, 95 % intervals by template.",
    )
