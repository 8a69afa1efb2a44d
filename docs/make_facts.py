"""Write the table of docs/howto/facts.md: capitals of microworld, edited one at a time and judged.

Run it from the repository: ``python docs/make_facts.py`` (some minutes). The setting was chosen on
edits of languages, of every third country; here capitals of the other countries are edited.
``--chosen`` writes the table of the first. ``--check`` only compares; figures may then
differ by 5 % or one in the last digit, as machines round differently.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from page_table import put

HERE = Path(__file__).resolve().parent
PAGE = HERE / "howto" / "facts.md"
START = "<!-- table: begin; written by docs/make_facts.py -->\n"
CHOSEN = "<!-- table: begin; written by docs/make_facts.py --chosen -->\n"
END = "<!-- table: end -->"
TEXTS, UNSEEN_TEXTS = 300, 100
OPENINGS = ("Monday : ", "Friday : ")
KINDS = ("same_subject", "neighbours", "elsewhere", "others")
CURVE = ("requests", "paraphrases", "others")


def main() -> int:
    """Write or compare the tables of the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    parser.add_argument("--chosen", action="store_true", help="the table of the choice instead")
    options = parser.parse_args()
    if options.chosen:
        mark, parts = CHOSEN, [table(measured("language", chosen=True))]
    else:
        parts = [table(measured("capital")), capacity_table(capacity()), keys_table()]
        mark = START
    new = "\n".join(parts)
    return put(PAGE, mark, END, new, options.check)


def measured(relation: str, *, chosen: bool = False) -> list[dict[str, Any]]:
    """One record an edit: each phrasing left out in turn.

    Args:
        chosen: edit the countries that the setting was chosen on, instead of the others.
    """
    import torch

    import residuum as rz
    from residuum.directions.facts import microworld_facts, trace_fact

    torch.set_num_threads(1)
    model = rz.load("microworld")
    facts = microworld_facts(relation)
    templates = list(dict.fromkeys(fact.template for fact in facts))
    plain = [fact for fact in facts if fact.template == templates[0]]
    third = {fact.subject for fact in plain[::3]}
    layer = trace_fact(
        model, [fact for fact in facts if fact.subject in third], kinds=("mlp",)
    ).layer
    return [
        record(model, layer, replace(fact, answer=another(plain, fact, held)), templates, held)
        for held in templates
        for fact in plain
        if (fact.subject in third) == chosen
    ]


def another(plain: list[Any], fact: Any, held: str) -> str:
    """The answer of another country; drawn afresh for each phrasing left out."""
    others = [each.answer for each in plain if each.answer != fact.answer]
    return Random(f"{held}/{fact.subject}").choice(others)


def kept(country: str, relation: str) -> list[Any]:
    """The country's other fact in two wordings that name it behind different words."""
    from residuum.directions.facts import microworld_facts

    other = "language" if relation == "capital" else "capital"
    found = [fact for fact in microworld_facts(other) if fact.subject == country]
    behind = [fact.template.split("{}")[0].split()[-1] for fact in found]
    return [found[0], next(f for f, word in zip(found, behind, strict=True) if word != behind[0])]


def sentences(seed: int, n: int, without: str) -> list[str]:
    """Plain text in which nothing is said in one phrasing."""
    from residuum.worlds import microworld_text

    opening = without.split("{}")[0].strip()
    return list(islice((text for text in microworld_text(seed=seed) if opening not in text), n))


def record(model: Any, layer: int, wanted: Any, templates: list[str], held: str) -> dict[str, Any]:
    """One edit, judged by the phrasing left out, by other facts and by plain text."""
    from residuum.directions.facts import Rome, edit_facts, microworld_facts
    from residuum.worlds import microworld_text

    used = [each for each in templates if each != held]
    edit = edit_facts(
        model,
        replace(wanted, template=used[0]),
        sentences(1, TEXTS, held),
        layers=layer,
        phrasings=used[1:],
        keep=kept(wanted.subject, wanted.relation),
        method=Rome(),
    )
    unseen = list(islice(microworld_text(seed=2), UNSEEN_TEXTS))
    opened = [replace(wanted, template=opening + held) for opening in OPENINGS]
    scores = edit.evaluate(facts=microworld_facts(), paraphrases=opened, texts=unseen)
    new = [each for each in scores.rows if each["kind"] == "paraphrases"]
    bare = [
        each["as_it_should"] for each in new if each["prompt"] == held.replace("{}", wanted.subject)
    ]
    assert len(bare) == 1 and scores.text is not None
    return {
        "held": held,
        "country": wanted.subject,
        "requests": scores.shares["requests"].share,
        "bare": float(bare[0]),
        "all": float(np.mean([each["as_it_should"] for each in new])),
        **{kind: scores.shares[kind].share for kind in KINDS},
        "text_percent": 100 * scores.text.change_frac,
    }


def capacity() -> Any:
    """More and more countries at once, the last phrasing left out; all 24 are drawn from."""
    import residuum as rz
    from residuum.directions.facts import Memit, fact_capacity, microworld_facts
    from residuum.worlds import microworld_text

    capitals = microworld_facts("capital")
    templates = list(dict.fromkeys(fact.template for fact in capitals))
    plain, rng = [fact for fact in capitals if fact.template == templates[0]], Random(0)
    requests = [
        replace(
            fact, answer=rng.choice([each.answer for each in plain if each.answer != fact.answer])
        )
        for fact in plain
    ]
    texts = sentences(1, TEXTS, templates[-1])
    unseen = list(islice(microworld_text(seed=2), UNSEEN_TEXTS))
    return fact_capacity(
        rz.load("microworld"), requests, texts, facts=microworld_facts(), unseen=unseen,
        sizes=(1, 4, 8, 16, 24), draws=2, layers=0, phrasings=templates[1:-1], method=Memit(),
        keep=[each for fact in plain for each in kept(fact.subject, "capital")],
    )  # fmt: skip


def capacity_table(curve: Any) -> str:
    """A line for each number of facts: means over the draws."""
    lines = [
        "| facts edited at once | requests | phrasing left out | all other facts "
        "| plain text, loss |",
        "|---|---|---|---|---|",
    ]
    for n in sorted({row.n for row in curve.rows}):
        shares = [f"{100 * curve.mean(name, n)[0]:.1f} %" for name in CURVE]
        loss = f"{100 * curve.mean('loss_change_frac', n)[0]:+.2f} %"
        lines.append(f"| {' | '.join([str(n), *shares, loss])} |")
    return "\n".join(lines) + "\n"


def keys_table() -> str:
    """How alike the keys of one country are in two wordings: mean whitened cosine, block 0."""
    import torch

    import residuum as rz
    from residuum.core import SILENT
    from residuum.directions.facts import microworld_facts
    from residuum.directions.facts.fact import rows_of
    from residuum.directions.facts.keys import second_moments, subject_states
    from residuum.worlds import microworld_text

    model, site = rz.load("microworld"), "L0.mlp_act"
    moment = second_moments(model, [0], list(islice(microworld_text(seed=1), TEXTS)), SILENT)[0]
    keys = {}
    for fact in microworld_facts():
        keys.setdefault(fact.template, []).append(fact)
    for template, facts in keys.items():
        states = subject_states(model, rows_of(model, facts), [site])[site]
        keys[template] = torch.linalg.solve_triangular(
            torch.linalg.cholesky(moment), states.T, upper=False
        ).T
    beside = ("The capital of {} is", "People in {} speak")
    lines = [
        f"| key in | {' | '.join(f'beside `{each}`' for each in beside)} |",
        "|---|---|---|",
    ]
    for template, found in keys.items():
        cosines = [float(torch.cosine_similarity(found, keys[each]).mean()) for each in beside]
        lines.append(f"| `{template}` | {' | '.join(f'{each:.2f}' for each in cosines)} |")
    return "\n".join(lines) + "\n"


def table(rows: list[dict[str, Any]]) -> str:
    """The table in Markdown: a line for each phrasing left out, and one for all."""
    lines = [
        "| phrasing left out | edits | the request itself | the phrasing left out "
        "| the same, also after a day | same subject | neighbours | elsewhere "
        "| all other facts | plain text, loss |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for held in dict.fromkeys(row["held"] for row in rows):
        lines.append(line(f"`{held}`", [row for row in rows if row["held"] == held]))
    lines.append(line("all", rows))
    return "\n".join(lines) + "\n"


def line(name: str, rows: list[dict[str, Any]]) -> str:
    """Means with 95 % intervals over countries."""
    shares = [share(rows, key) for key in ("requests", "bare", "all", *KINDS)]
    text = [row["text_percent"] for row in rows]
    loss = f"{np.mean(text):+.2f} % (worst {max(text):+.2f} %)"
    return f"| {' | '.join([name, str(len(rows)), *shares, loss])} |"


def share(rows: list[dict[str, Any]], key: str) -> str:
    """Per cent, with its interval; where all are alike, Wilson's with one trial a country."""
    from residuum.runs import bootstrap_mean_interval, wilson_interval

    values, countries = [row[key] for row in rows], [row["country"] for row in rows]
    if set(values) in ({0.0}, {1.0}):
        trials = len(set(countries))
        low, high = wilson_interval(int(values[0]) * trials, trials)
    else:
        low, high = bootstrap_mean_interval(values, clusters=countries)
    return f"{100 * np.mean(values):.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


if __name__ == "__main__":
    raise SystemExit(main())
