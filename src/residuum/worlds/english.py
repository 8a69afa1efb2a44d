"""Tasks in ordinary English, for GPT-2 and later models, whose tokens begin with a space.

Word lists hold words that such tokenizers are likely to keep whole; whether the two prompts of
a pair align token by token is for the tokenizer at hand to say, so ``positions`` stay empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from residuum.core.errors import TaskError
from residuum.core.pairs import ContrastPair
from residuum.worlds.english_words import (
    ARGUMENTS,
    CENTURIES,
    COUNTRIES,
    EVENTS,
    FUNCTIONS,
    GIFTS,
    NAMES,
    NOUNS,
    PLACES,
    PLURAL_VERBS,
    PREPOSITIONS,
    SINGULAR_VERBS,
    TOPICS,
)

_IOI = {
    "gave": "When {a} and {b} went to the {place}, {s} gave a {gift} to",
    "after": "After {a} and {b} arrived at the {place}, {s} handed a {gift} to",
    "then": "Then, {a} and {b} had a long talk at the {place}. Afterwards, {s} gave a {gift} to",
    "while": "While {a} and {b} were working at the {place}, {s} decided to give a {gift} to",
}
_YEARS = {
    "lasted": "The {event} lasted from the year {century}{start} to the year {century}",
    "began": "The {event} began in the year {century}{start} and ended in the year {century}",
    "ran": "From the year {century}{start}, the {event} continued until the year {century}",
}
_CAPITALS = {
    "capital": "The capital of {country} is",
    "city": "{country}'s capital city is called",
    "visit": "She flew to {country} to see its capital,",
}
_LANGUAGES = {
    "speak": "People in {country} mostly speak",
    "language": "The official language of {country} is",
}
_AGREEMENT = {
    "plain": "The {subject} {preposition} the {distractor}",
    "said": "They said that the {subject} {preposition} the {distractor}",
    "think": "I think the {subject} {preposition} the {distractor}",
}


def _ioi(rng: Random) -> ContrastPair:
    name = rng.choice(list(_IOI))
    recipient, subject = rng.sample(NAMES, 2)
    order = rng.choice(((recipient, subject), (subject, recipient)))
    place, gift = rng.choice(PLACES), rng.choice(GIFTS)

    def prompt(giver: str) -> str:
        return _IOI[name].format(a=order[0], b=order[1], s=giver, place=place, gift=gift)

    template = f"{name}/{'ABBA' if order[0] == recipient else 'BABA'}"
    return ContrastPair(
        prompt(subject), prompt(recipient), (f" {recipient}",), (f" {subject}",), {}, template
    )


def _greater_than(rng: Random) -> ContrastPair:
    name, event, century = rng.choice(list(_YEARS)), rng.choice(EVENTS), rng.choice(CENTURIES)
    start = rng.randint(10, 90)

    def prompt(begin: int) -> str:
        return _YEARS[name].format(event=event, century=century, start=f"{begin:02d}")

    years = [f"{year:02d}" for year in range(100)]
    return ContrastPair(
        prompt(start), prompt(1), tuple(years[start + 1 :]), tuple(years[: start + 1]), {}, name
    )


def _facts(rng: Random) -> ContrastPair:
    column = rng.choice((1, 2))
    templates = _CAPITALS if column == 1 else _LANGUAGES
    name = rng.choice(list(templates))
    here, there = rng.sample(COUNTRIES, 2)
    clean, corrupt = (templates[name].format(country=row[0]) for row in (here, there))
    return ContrastPair(clean, corrupt, (f" {here[column]}",), (f" {there[column]}",), {}, name)


def _agreement(rng: Random) -> ContrastPair:
    name = rng.choice(list(_AGREEMENT))
    subject, distractor = rng.sample(NOUNS, 2)
    plural = rng.random() < 0.5
    near = distractor if plural else f"{distractor}s"
    preposition = rng.choice(PREPOSITIONS)

    def prompt(word: str) -> str:
        return _AGREEMENT[name].format(subject=word, preposition=preposition, distractor=near)

    one, many = prompt(subject), prompt(f"{subject}s")
    if plural:
        return ContrastPair(many, one, PLURAL_VERBS, SINGULAR_VERBS, {}, name)
    return ContrastPair(one, many, SINGULAR_VERBS, PLURAL_VERBS, {}, name)


def _docstring(rng: Random) -> ContrastPair:
    """A function with four arguments; its docstring has named two, and a third must follow.

    The task of Heimersheim and Janiak (2023), with word lists and layout of our own. In the
    corrupt prompt the arguments after ``self`` are others, the docstring is the same.
    """
    drawn = rng.sample(ARGUMENTS, 8)
    function, topics = rng.choice(FUNCTIONS), rng.sample(TOPICS, 7)

    def prompt(arguments: Sequence[str]) -> str:
        return (
            f"def {function}(self, {', '.join(arguments)}):\n"
            f'    """{" ".join(topics[:3])}\n\n'
            f"    :param {drawn[0]}: {' '.join(topics[3:5])}\n"
            f"    :param {drawn[1]}: {' '.join(topics[5:7])}\n"
            "    :param"
        )

    wrong = tuple(f" {word}" for word in (*drawn[:2], *drawn[3:]))
    return ContrastPair(
        prompt(drawn[:4]), prompt(drawn[4:]), (f" {drawn[2]}",), wrong, {}, "docstring"
    )


_DRAW: dict[str, Callable[[Random], ContrastPair]] = {
    "ioi": _ioi,
    "greater_than": _greater_than,
    "docstring": _docstring,
    "agreement": _agreement,
    "facts": _facts,
}
ENGLISH_TASKS: tuple[str, ...] = tuple(_DRAW)


def english_pairs(task: str, n: int, seed: int = 0) -> list[ContrastPair]:
    """Contrast pairs in ordinary English, all different.

    Args:
        task: one of `ENGLISH_TASKS`.
        n: how many pairs.
        seed: the same seed gives the same pairs.

    Returns:
        ``n`` pairs with natural spacing; answers begin with a space where a word does
        (``" Mary"``), and are two digits for ``greater_than``. Positions are empty.

    Raises:
        TaskError: unknown task, or fewer than ``n`` different pairs exist.
    """
    if task not in _DRAW:
        raise TaskError(f"no English task {task!r}", mend=f"one of: {', '.join(ENGLISH_TASKS)}")
    rng, found = Random(f"{seed}/english/{task}"), dict[tuple[str, str], ContrastPair]()
    for _ in range(100 * n + 1000):
        if len(found) == n:
            break
        pair = _DRAW[task](rng)
        found[pair.clean, pair.corrupt] = pair
    if len(found) < n:
        raise TaskError(
            f"task {task!r} has about {len(found)} different English pairs, {n} were asked for",
            mend=f"ask for at most {len(found)}",
        )
    return list(found.values())
