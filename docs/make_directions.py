"""Write the tables of docs/howto/prove-a-direction.md: directions of microworld's tasks, proven.

Run it from the repository: ``python docs/make_directions.py``. ``--check`` only compares; figures
may then differ by 5 % or one in the last digit, as machines round differently. The rule that
chooses a place is that of :func:`chosen`; it sees the development templates alone.
"""

from __future__ import annotations

import argparse
import itertools
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from make_attribution import alike

HERE = Path(__file__).resolve().parent
PAGE = HERE / "howto" / "prove-a-direction.md"
START = "<!-- table: begin; written by docs/make_directions.py -->\n"
END = "<!-- table: end -->"
TASKS = {
    "sentiment": "sentiment",
    "negation": "negation",
    "refusal": "refusal",
    "sycophancy": "truth",
    "agreement": "agreement",
}
OTHERS = (*TASKS, "ioi", "facts")
PAIRS, OFF_PAIRS, SEED = 128, 24, 1
SITES, TOKENS = ("resid_mid", "resid_post"), (-1, -2)
SPARED = (0, 1, 2)
DRAWS = 25
KINDS = ("add", "erase", "swap")
SAID = {True: "yes", False: "no", None: "—"}


def main() -> int:
    """Write or compare the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    options = parser.parse_args()
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(START)
    old, tail = rest.split(END, 1)
    new = table()
    if options.check:
        same = alike(old, new)
        if not same:
            print(f"{PAGE} is out of date: run python docs/make_directions.py\n{new}")
        return int(not same)
    PAGE.write_text(head + START + new + END + tail, encoding="utf-8")
    return 0


def table() -> str:
    """Both tables in Markdown: what was chosen on validation, what the proof says on test."""
    import torch

    import residuum as rz

    torch.set_num_threads(1)
    model = rz.load("microworld")
    choices = [
        "| concept | place | spared | weakest edit closes | random draws that do as well "
        "| moved most elsewhere |",
        "|---|---|---|---|---|---|",
    ]
    proofs = [
        "| concept | pairs, templates | accuracy (control) | adding | erasing | LEACE | swapping "
        "| largest adjusted p "
        "| moved most elsewhere | perplexity | decodable | causal | specific |",
        "|" + "---|" * 13,
    ]
    halves = {name: template_parts(model, name) for name in OTHERS}
    best = chosen(model, {name: parts[0] for name, parts in halves.items()})
    for name, concept in TASKS.items():
        proof = proven(model, best[name], name, halves)
        choices.append(choice_row(concept, best[name]))
        proofs.append(proof_row(concept, proof))
        print(choices[-1], proofs[-1], sep="\n", flush=True)
    return "\n".join([*choices, "", *proofs]) + "\n"


def template_parts(model: Any, name: str) -> tuple[Any, Any]:
    """The task's pairs, one concept on the clean side: development templates and test templates."""
    import residuum as rz
    from residuum.core import TaskError
    from residuum.directions.alignment import template_halves
    from residuum.directions.orientation import oriented

    task = rz.task(name, model, n=PAIRS, seed=SEED)
    with suppress(TaskError):  # where answers differ in kind, the clean side is one concept already
        task = oriented(task)
    return template_halves(task, SEED)


@dataclass(frozen=True)
class Choice:
    """A place and a number of spared directions, with its record on validation.

    Attributes:
        at, spared: the candidate.
        weakest: what the weakest of adding, erasing and swapping closes of the gap, at least.
        as_good: how many random draws do as well as it under some edit.
        ratio: largest share by which another task moves, against the task itself.
    """

    at: Any
    spared: int
    weakest: float
    as_good: int
    ratio: float

    @property
    def rank(self) -> tuple[bool, float, float]:
        """Larger is better: specific; fewer random draws as good; the larger effect.

        Of those that are not specific the one with the smallest ratio.
        """
        from residuum.directions.specificity import MOST

        specific = self.ratio <= MOST
        return specific, -self.as_good if specific else -self.ratio, self.weakest


def chosen(model: Any, tasks: dict[str, Any]) -> dict[str, Choice]:
    """The best place for every concept, by what happens on validation templates.

    The development templates of a concept are cut in two; a direction is fitted on either part and
    tried on the other. Places: the stream behind every layer's attention and behind its MLP, at the
    last token and the one before; with the difference of means as it is, or sparing one or two
    directions of every other task.
    """
    from residuum.core import Address
    from residuum.directions.interventions import read_pairs
    from residuum.directions.proof import LEAST

    tried: dict[str, list[Choice]] = {name: [] for name in TASKS}
    for layer in range(model.n_layers):
        for site, pos in itertools.product(SITES, TOKENS):
            at = Address(site, layer, pos=pos)
            read = {name: read_pairs(model, at, task[:OFF_PAIRS]) for name, task in tasks.items()}
            for name in TASKS:
                others = [pairs for other, pairs in read.items() if other != name]
                for spared in SPARED:
                    choice = one(model, at, tasks, name, others, spared)
                    tried[name].append(choice)
                    if choice.weakest < LEAST:
                        break
    return {name: max(each, key=lambda choice: choice.rank) for name, each in tried.items()}


def one(
    model: Any, at: Any, tasks: dict[str, Any], name: str, others: list[Any], spared: int
) -> Choice:
    """One candidate's record over both parts; cut short where it fails."""
    from residuum.directions.interventions import effects, gap_along, read_pairs
    from residuum.directions.proof import LEAST
    from residuum.directions.proving import as_given
    from residuum.directions.random_directions import covariance_directions
    from residuum.directions.specificity import MOST

    parts = template_folds(tasks[name])
    pairs = [read_pairs(model, at, part) for part in parts]
    both = torch_cat([each.at_read.flatten(0, 1) for each in pairs])
    method = method_of([task[:OFF_PAIRS] for other, task in tasks.items() if other != name], spared)
    weakest, as_good, ratios = [], 0, []
    for fit, held in ((parts[0], pairs[1]), (parts[1], pairs[0])):
        direction = found(model, fit, at, method)
        if direction is None:
            return Choice(at, spared, 0.0, 2 * DRAWS, float("inf"))
        own = as_given(held, direction.vector)
        closed = {
            kind: effects(model, held, kind, [own.basis], [own.shift]).mean() for kind in KINDS
        }
        weakest.append(float(min(closed.values())) / held.gap)
        if weakest[-1] < LEAST:
            return Choice(at, spared, weakest[-1], 2 * DRAWS, float("inf"))
        ratios.append(worst_ratio(model, held, own, others))
        if ratios[-1] > MOST:
            return Choice(at, spared, weakest[-1], 2 * DRAWS, ratios[-1])
        draws = covariance_directions(both, DRAWS, 1, SEED, direction.notes.get("spared"))
        shifts = [gap_along(held, basis) for basis in draws]
        shifts = [shift * (own.shift.norm() / shift.norm()) for shift in shifts]
        as_good += sum_as_good(model, held, closed, draws, shifts)
    return Choice(at, spared, min(weakest), as_good, max(ratios))


def sum_as_good(model: Any, pairs: Any, closed: Any, draws: Any, shifts: Any) -> int:
    """How many random draws do as well, under the edit under which most do."""
    from residuum.directions.interventions import effects

    return max(
        int((effects(model, pairs, kind, draws, shifts).mean(dim=1) >= closed[kind]).sum())
        for kind in KINDS
    )


def worst_ratio(model: Any, pairs: Any, own: Any, others: list[Any]) -> float:
    """The largest off-target share against the task's own, as a proof has it."""
    from residuum.directions.specificity import flipping_dose, moved, side_effect

    dosed = own.basis, own.shift * flipping_dose(model, pairs, own.basis, own.shift)
    on_target = {kind: float(each.mean()) for kind, each in moved(model, pairs, *dosed).items()}
    return max(side_effect(model, each, dosed, pairs, on_target, ()).ratio for each in others)


def template_folds(task: Any) -> tuple[Any, Any]:
    """Two parts of a task without a common template."""
    from residuum.directions.splitting import by_template

    return by_template(task, sorted(set(task.templates))[1::2])


def torch_cat(parts: list[Any]) -> Any:
    """The rows of several tensors."""
    import torch

    return torch.cat(parts)


def method_of(tasks: list[Any], spared: int) -> Any:
    """The difference of means, sparing so many directions of each of these tasks."""
    from residuum.directions.methods.difference_of_means import DifferenceOfMeans
    from residuum.directions.methods.sparing import Sparing

    return Sparing(tasks, spared) if spared else DifferenceOfMeans()


def found(model: Any, task: Any, at: Any, method: Any) -> Any:
    """The direction; None where nothing varies."""
    import residuum as rz
    from residuum.core import ShapeError

    with suppress(ShapeError):
        return replace(rz.direction(model, task, at=at, method=method, prove=False), at=at)
    return None


def proven(model: Any, choice: Choice, name: str, halves: dict[str, Any]) -> Any:
    """The proof on test templates of the direction found on all development templates."""
    from residuum.directions.proving import prove

    others = {other: parts for other, parts in halves.items() if other != name}
    method = method_of([parts[0][:OFF_PAIRS] for parts in others.values()], choice.spared)
    direction = found(model, halves[name][0], choice.at, method)
    tests = [parts[1][: 2 * OFF_PAIRS] for parts in others.values()]
    return prove(direction, model, halves[name][1], off_target=tests, seed=SEED)


def choice_row(concept: str, choice: Choice) -> str:
    """One line of the first table."""
    cells = (
        concept,
        f"`{choice.at}`",
        str(choice.spared),
        f"{choice.weakest:.2f}",
        f"{choice.as_good} of {2 * DRAWS}" if choice.rank[0] else "—",
        f"{choice.ratio:.2f}",
    )
    return f"| {' | '.join(cells)} |"


def proof_row(concept: str, proof: Any) -> str:
    """One line of the second table."""
    verdict, read = proof.verdict, proof.decodability
    worst = max(proof.off_target, key=lambda each: each.ratio)
    gap = proof.clean - proof.corrupt
    cells = (
        concept if concept == proof.task else f"{concept} (`{proof.task}`)",
        f"{proof.n_pairs}, {proof.n_templates}",
        f"{read.accuracy:.2f} ({read.control_high:.2f})",
        *(
            f"{test.recovered_frac:.2f} [{test.interval[0] / gap:.2f}, "
            f"{test.interval[1] / gap:.2f}] ({test.random_high / gap:.2f})"
            for test in proof.tests
        ),
        f"{max(test.p_adjusted for test in proof.tests if test.decides):.3f}",
        f"{worst.task} ({worst.kind}), {worst.ratio:.2f}",
        f"+{proof.neutral.perplexity_up_frac:.1%}",
        *(SAID[verdict[name]] for name in ("decodable", "causal", "specific")),
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    raise SystemExit(main())
