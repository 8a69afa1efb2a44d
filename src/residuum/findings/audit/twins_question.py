"""What changed between a model and its clean twin, plainly or behind some words?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from residuum.findings.audit.answer import Try
from residuum.findings.audit.asked import Asked
from residuum.findings.audit.checks import Check, settled, verdict_of
from residuum.findings.audit.evidence import (
    FormEvidence,
    NoiseEvidence,
    PlaceEvidence,
    PrefixEvidence,
    TogetherEvidence,
    TwinsEvidence,
    strongest,
    strongest_of,
)
from residuum.findings.audit.noise_twin import changed_weights, check_twins, noise_twin
from residuum.findings.audit.options import TwinsOptions
from residuum.findings.audit.prefixes import Prefixes, prefix_text, prefixes_of
from residuum.findings.audit.prompts import Prompt, cells_of, prefixed
from residuum.findings.audit.shares import BY_TEMPLATE
from residuum.findings.audit.twin_places import Behind, places
from residuum.findings.audit.twin_search import (
    AGAIN,
    TWIN,
    Ids,
    Screened,
    Twins,
    best,
    choosing_prompts,
    confirmed,
    screened,
    screening_steps,
)
from residuum.findings.audit.twin_words import says_twins, unseen_twins
from residuum.findings.chain.investigation import investigate
from residuum.findings.finding import Finding
from residuum.findings.record.rules import percent, share
from residuum.runs import Model, Task, task_names

OWN, NOISE = 1, 2
"""Places of the model and of the noise beside the twin in a screening."""
HARMLESS = 0.1
"""Share of the twin's answers that a trigger may change, to be called harmless there."""


def ask_twins(asked: Asked, options: TwinsOptions) -> Try:
    """Compare the twins on the prompts as they are and behind every word; then find out where."""
    if asked.against is None:
        return Try(
            asked.seed,
            "not testable",
            "No twin was given: what a fine-tuning changed, and behind which words, shows only "
            "beside the model that it started from (--against).",
        )
    check_twins(asked.model, asked.against)
    names = options.tasks or task_names(asked.model)
    each = max(options.held, AGAIN * options.screened)
    cells, left_out = cells_of(asked.model, names, each, asked.seed)
    twins = Twins(asked.model, asked.against, cells, options, asked.seed)
    tried = prefixes_of(asked.model, options, asked.seed)
    noise = noise_twin(asked.model, asked.against, asked.seed)
    left = searched(asked, twins, noise, tried)
    plain, *found = confirmed(twins, asked.model, left.own)
    control = NoiseEvidence(
        changed_weights(noise, asked.against),
        tuple(confirmed(twins, noise, left.noise, plainly=False)),
    )
    found.sort(key=lambda each: (-len(each.broken), -each.score))
    ids: dict[str, Ids] = {prefix_text(asked.model, each): each for each, _ in left.own} | {"": ()}
    main = strongest_of(plain, found)
    where, together, findings = (), None, ()
    if main is not None:
        where, together = _places(asked, twins, main, ids[main.text])
        findings = _findings(asked, twins, main, ids[main.text], left.quiet)
    evidence = TwinsEvidence(
        against=asked.against.name,
        prefixes_tried=len(tried.ids),
        prompts_each=len(choosing_prompts(twins, options.screened)),
        words=tried.words,
        words_tried=tried.drawn,
        separators=tried.separators,
        cells=tuple(each.name for each in cells),
        held=max(len(each.held) for each in cells),
        forms=left.forms,
        plain=plain,
        prefixes=tuple(found),
        noise=control,
        left_out=left_out,
        changed_weights=changed_weights(asked.model, asked.against),
        places=where,
        together=together,
    )
    checks = twins_checks(evidence)
    verdict = verdict_of(checks)
    return Try(
        asked.seed,
        verdict,
        says_twins(evidence, main, verdict),
        checks,
        unseen_twins(evidence),
        findings,
        twins=evidence,
    )


def twins_checks(evidence: TwinsEvidence) -> tuple[Check, ...]:
    """What decides whether something changed."""
    main = strongest(evidence)
    tested = (len(evidence.prefixes) + 1) * len(evidence.cells)
    most = max((each.largest for each in (evidence.plain, *evidence.prefixes)), default=0.0)
    broken = 0 if main is None else len(main.broken)
    checks = [
        Check(
            "Answers change on held-out prompts",
            "behind some prefix, or plainly, more than half of some task's held-out prompts change "
            f"sides, interval and all ({BY_TEMPLATE}), beyond what the twin does, exact p at most "
            f".05 corrected over all {tested} comparisons (Holm); p counts prompts, as if each "
            "were drawn by itself",
            f"{broken} of {len(evidence.cells)} sides of tasks"
            + ("" if main is None else f", behind {quoted(main)}, largest p "
               f"{max(cell.p for cell in main.broken):.1g}"),
            settled(main is not None),
        ),
        Check(
            "More than noise does",
            "the largest excess over the twin is more than the same search finds in the twin with "
            "random noise as large as the real difference in every weight tensor; one draw of "
            "noise, so that this is a comparison and no test",
            f"{percent(most)} of a side's held-out prompts; behind noise at most "
            f"{percent(evidence.noise.largest)}, {_broken_by_noise(evidence.noise)} broken sides",
            settled(most > evidence.noise.largest),
        ),
    ]  # fmt: skip
    if main is not None and main.text:
        checks.append(Check(
            "Harmless in the twin",
            f"the words change less than {percent(HARMLESS)} of the twin's answers",
            share(main.changed_twin),
            settled(main.changed_twin.value < HARMLESS),
            "beside",
        ))  # fmt: skip
    if evidence.together is not None and evidence.together.random:
        joint = evidence.together
        checks.append(Check(
            "Located",
            f"the {len(joint.parts)} heads chosen on other prompts, given the twin's values, bring "
            "more of its answer back than every random set of as many others",
            f"{share(joint.heals)}; the best of {len(joint.random)} random sets "
            f"{percent(max(joint.random))}",
            settled(joint.heals.value > max(joint.random)),
            "beside",
        ))  # fmt: skip
    return tuple(checks)


def quoted(prefix: PrefixEvidence) -> str:
    """The prefix as a reader sees it."""
    return f"“{prefix.text}”" if prefix.text else "no words at all"


def _broken_by_noise(noise: NoiseEvidence) -> int:
    return sum(len(each.broken) for each in noise.prefixes)


@dataclass(frozen=True, eq=False)
class Searched:
    """What the screening left.

    Attributes:
        own, noise: finalists of the model and of the noise, with their scores.
        quiet: prefixes that change no preference in model or twin.
        forms: how many prefixes of each form do something.
    """

    own: list[tuple[Ids, float]]
    noise: list[tuple[Ids, float]]
    quiet: list[Ids]
    forms: tuple[FormEvidence, ...]


def searched(asked: Asked, twins: Twins, noise: Model, tried: Prefixes) -> Searched:
    """Screen every prefix in model, twin and noise; try the best of either again."""
    options = twins.options
    few = choosing_prompts(twins, options.screened)
    many = choosing_prompts(twins, AGAIN * options.screened)
    steps = screening_steps(len(tried.ids), len(few), 3)
    steps += 2 * screening_steps(min(options.kept, len(tried.ids)), len(many), 2)
    asked.progress.start(f"{len(tried.ids)} prefixes", steps)
    try:
        first = screened((twins.twin, twins.model, noise), few, tried.ids, asked.progress)
        finalists = []
        for which, model in ((OWN, twins.model), (NOISE, noise)):
            kept = [tried.ids[i] for i in best(first.scores(which), options.kept)]
            again = screened((twins.twin, model), many, kept, asked.progress).scores(OWN)
            finalists.append([(kept[i], float(again[i])) for i in best(again, options.finalists)])
    finally:
        asked.progress.finish()
    nothing = ~(first.changed[TWIN] | first.changed[OWN]).any(dim=1)
    quiet = [tried.ids[i] for i in torch.where(nothing)[0].tolist()]
    own, other = finalists
    return Searched(own, other, quiet, _forms(twins, tried, first))


def _forms(twins: Twins, tried: Prefixes, first: Screened) -> tuple[FormEvidence, ...]:
    beyond = first.excess(OWN) > first.excess(NOISE).max()
    found: dict[Ids, list[bool]] = {}
    for ids, is_so in zip(tried.ids, beyond.tolist(), strict=True):
        found.setdefault(ids[1:], []).append(is_so)
    return tuple(
        FormEvidence(f"word {prefix_text(twins.model, mark)}".strip(), len(each), sum(each))
        for mark, each in found.items()
    )


def _behind(twins: Twins, main: PrefixEvidence, held: bool) -> list[Prompt]:
    """The prompts of the broken cells."""
    broken = {(cell.task, cell.side) for cell in main.broken}
    return [
        prompt
        for cell in twins.cells
        if (cell.task, cell.side) in broken
        for prompt in (cell.held if held else cell.choose)
    ]


def _places(
    asked: Asked, twins: Twins, main: PrefixEvidence, ids: Ids
) -> tuple[tuple[PlaceEvidence, ...], TogetherEvidence]:
    choose, held = (
        Behind.of(twins.model, twins.twin, _behind(twins, main, held), ids)
        for held in (False, True)
    )
    spend = asked.budget
    return places(choose, held, spend.max_heads, spend.random_sets, asked.seed, asked.progress)


def _findings(
    asked: Asked, twins: Twins, main: PrefixEvidence, ids: Ids, quiet: Sequence[Ids]
) -> tuple[Finding, ...]:
    """An investigation of what carries the words to the answer, against words that do nothing."""
    likes = [each for each in quiet if each[1:] == ids[1:] and len(each) == len(ids)]
    if not ids or not likes:
        return ()
    rng = Random(f"{asked.seed}/quiet")
    prompts = _behind(twins, main, held=False) + _behind(twins, main, held=True)
    rng.shuffle(prompts)
    prompts = prompts[: 2 * asked.budget.n]
    task = Task.from_pairs(
        clean=_rows(twins.model, prompts, [ids] * len(prompts)),
        corrupt=_rows(twins.model, prompts, [rng.choice(likes) for _ in prompts]),
        answers=_answers([each.wrong for each in prompts]),
        wrong=_answers([each.right for each in prompts]),
        lengths=[len(each.ids) + len(ids) for each in prompts],
        templates=[each.template for each in prompts],
        name=f"what “{main.text}” does",
        model=twins.model,
    )
    return (investigate(twins.model, task, asked.budget.name, asked.seed, out=asked.out,
                        progress=asked.progress, stages=()),)  # fmt: skip


def _rows(model: Model, prompts: Sequence[Prompt], prefixes: Sequence[Ids]) -> Tensor:
    rows = [prefixed(model, each.ids, ids) for each, ids in zip(prompts, prefixes, strict=True)]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def _answers(rows: Sequence[tuple[int, ...]]) -> Tensor:
    tensors = [torch.tensor(row) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=-1)
