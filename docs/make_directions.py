"""Write the tables of docs/howto/prove-a-direction.md: directions of microworld's tasks, proven.

Run it from the repository: ``python docs/make_directions.py``. ``--check`` only compares; figures
may then differ by 5 % or one in the last digit, as machines round differently. The rule that
chooses a place is that of :func:`chosen`; it sees the development templates alone.
One process, one thread: 2 min 25 s of processor time (10 min 42 s on cores with a load of 16).
"""

from __future__ import annotations

import itertools
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from page_table import main_of

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
PENALTY_PAIRS, PENALTY_SEED = 64, 2
SITES, TOKEN = ("resid_mid", "resid_post"), -1
LEARNED_AT = 2
WEIGHT, PULL, STEPS = 3.0, 0.05, 50
DRAWS, FEW = 25, 2
KINDS = ("add", "erase", "swap")
SAID = {True: "yes", False: "no", None: "—"}


def main() -> int:
    """Write or compare the page."""
    return main_of(PAGE, START, END, table, __doc__)


def table() -> str:
    """Both tables in Markdown: what was chosen on validation, what the proof says on test."""
    import torch

    import residuum as rz

    torch.set_num_threads(1)
    model = rz.load("microworld")
    halves = {name: template_parts(model, name) for name in OTHERS}
    development = {name: parts[0] for name, parts in halves.items()}
    best = chosen(model, development, other_prompts(model, halves, (0, 1)))
    spared = other_prompts(model, halves, (1,))
    choices = [choice_row(concept, best[name]) for name, concept in TASKS.items()]
    print(*choices, sep="\n", flush=True)
    proofs = []
    for name, concept in TASKS.items():
        proofs.append(proof_row(concept, proven(model, best[name], name, halves, spared)))
        print(proofs[-1], flush=True)
    return "\n".join([*CHOICES, *choices, "", *PROOFS, *proofs]) + "\n"


CHOICES = (
    "| concept | place | found by | weakest edit closes | random draws that do as well "
    "| moved most elsewhere |",
    "|---|---|---|---|---|---|",
)
PROOFS = (
    "| concept | pairs, templates | accuracy (control) | adding | erasing | LEACE | swapping "
    "| largest adjusted p | moved most elsewhere | perplexity | decodable | causal | specific |",
    "|" + "---|" * 13,
)


def other_prompts(
    model: Any, halves: dict[str, tuple[Any, Any]], judged: tuple[int, ...]
) -> dict[str, Any]:
    """Pairs of every task for the penalty: of another seed, no prompt that is judged on.

    Args:
        judged: which halves' prompts stay out: the test's always, on validation both.
    """
    import residuum as rz

    found = {}
    for name, parts in halves.items():
        taken = {prompt for half in judged for prompt in prompts(judged_pairs(parts, half))}
        task = rz.task(name, model, n=3 * PENALTY_PAIRS, seed=PENALTY_SEED)
        mine = prompts(task)
        pairs = zip(mine[: len(task)], mine[len(task) :], strict=True)
        free = [row for row, pair in enumerate(pairs) if not taken & set(pair)]
        found[name] = task.subset(free[:PENALTY_PAIRS])
    return found


def judged_pairs(parts: tuple[Any, Any], half: int) -> Any:
    """Of a task as an off-target one: the first of its development pairs, or more of its test."""
    return parts[half][: (half + 1) * OFF_PAIRS]


def prompts(task: Any) -> list[tuple[int, ...]]:
    """The ids of all clean prompts, then of all corrupt ones."""
    return [
        tuple(row[: int(length)])
        for side in (task.clean, task.corrupt)
        for row, length in zip(side.tolist(), task.lengths, strict=True)
    ]


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
    """A place and a way to find the direction, with its record on validation.

    Attributes:
        at, learned: the candidate: the difference of means, or learned from there.
        weakest: what the weakest of adding, erasing and swapping closes of the gap, at least.
        as_good: how many random draws do as well as it under some edit.
        ratio: largest share by which another task moves, against the task itself.
    """

    at: Any
    learned: bool
    weakest: float
    as_good: int
    ratio: float

    @property
    def rank(self) -> tuple[bool, float, float]:
        """Larger is better: few random draws as good; then the smallest ratio."""
        return self.as_good <= FEW, -self.ratio, self.weakest


def chosen(model: Any, tasks: dict[str, Any], spared: dict[str, Any]) -> dict[str, Choice]:
    """The best place for every concept, by what happens on validation templates.

    The development templates of a concept are cut in two; a direction is fitted on either part and
    tried on the other. Places: the stream behind every layer's attention and behind its MLP, at the
    last token. The difference of means is tried at all of them, and a direction
    learned from it at the two where that does best.
    """
    from residuum.core import Address
    from residuum.directions.interventions import read_pairs

    tried: dict[str, list[Choice]] = {name: [] for name in TASKS}
    judged: dict[Any, dict[str, Any]] = {}
    for site, layer in itertools.product(SITES, range(model.dims.n_layers)):
        at = Address(site, layer, pos=TOKEN)
        judged[at] = {name: read_pairs(model, at, task[:OFF_PAIRS]) for name, task in tasks.items()}
        for name in TASKS:
            tried[name].append(
                one(model, at, tasks[name], judged[at], method_of(spared, name, False))
            )
    for name, plain in tried.items():
        for choice in sorted(plain, key=lambda each: each.rank, reverse=True)[:LEARNED_AT]:
            method = method_of(spared, name, True)
            tried[name].append(one(model, choice.at, tasks[name], judged[choice.at], method, True))
    return {name: max(each, key=lambda choice: choice.rank) for name, each in tried.items()}


def one(
    model: Any, at: Any, task: Any, judged: dict[str, Any], method: Any, learned: bool = False
) -> Choice:
    """One candidate's record over both parts; cut short where it fails."""
    from residuum.directions.causal_effects import as_given, random_draws
    from residuum.directions.interventions import effects, read_pairs
    from residuum.directions.proof import LEAST

    parts = template_folds(task)
    weakest, as_good, ratios = [], 0, []
    for fit, test in (parts, parts[::-1]):
        direction = found(model, fit, at, method)
        if direction is None:
            return Choice(at, learned, 0.0, 2 * DRAWS, float("inf"))
        held = read_pairs(model, at, test)
        own = as_given(held, direction.vector)
        closed = {
            kind: effects(model, held, kind, [own.basis], [own.shift]).mean() for kind in KINDS
        }
        weakest.append(float(min(closed.values())) / held.gap)
        if weakest[-1] < LEAST:
            return Choice(at, learned, weakest[-1], 2 * DRAWS, float("inf"))
        others = [pairs for name, pairs in judged.items() if name != task.name]
        ratios.append(worst_ratio(model, held, own, others))
        draws = random_draws(held, own, DRAWS, None, SEED).alike
        bases, shifts = [each.basis for each in draws], [each.shift for each in draws]
        as_good += sum_as_good(model, held, closed, bases, shifts)
    return Choice(at, learned, min(weakest), as_good, max(ratios))


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


def method_of(spared: dict[str, Any], name: str, learned: bool) -> Any:
    """The difference of means, or what is learned from it to leave every other task alone."""
    from residuum.directions.methods.dedicated import Dedicated
    from residuum.directions.methods.difference_of_means import DifferenceOfMeans

    others = [task for other, task in spared.items() if other != name]
    return Dedicated(others, WEIGHT, PULL, steps=STEPS) if learned else DifferenceOfMeans()


def found(model: Any, task: Any, at: Any, method: Any) -> Any:
    """The direction; None where nothing varies."""
    import residuum as rz
    from residuum.core import ShapeError

    with suppress(ShapeError):
        return replace(rz.direction(model, task, at=at, method=method, prove=False), at=at)
    return None


def proven(
    model: Any, choice: Choice, name: str, halves: dict[str, Any], spared: dict[str, Any]
) -> Any:
    """The proof on test templates of the direction found on all development templates."""
    from residuum.directions.proving import prove

    method = method_of(spared, name, choice.learned)
    direction = found(model, halves[name][0], choice.at, method)
    tests = [judged_pairs(parts, 1) for other, parts in halves.items() if other != name]
    return prove(direction, model, halves[name][1], off_target=tests, seed=SEED)


def choice_row(concept: str, choice: Choice) -> str:
    """One line of the first table."""
    cells = (
        concept,
        f"`{choice.at}`",
        "learning" if choice.learned else "difference of means",
        f"{choice.weakest:.2f}",
        f"{choice.as_good} of {2 * DRAWS}",
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
