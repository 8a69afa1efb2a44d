"""Questions to chat models, through their own chat template, each to be answered Yes or No.

One word is asked for because a metric reads one token: a model that refuses at length, or that says
something else first, is seen only as far as it prefers one of the two words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from residuum.core import TaskError
from residuum.directions import Statements
from residuum.findings.audit.chat_words import (
    BELIEF_FRAMES,
    FACT_FRAMES,
    MODE_FRAMES,
    MODES,
    NO,
    ONE_WORD,
    REQUEST_FRAMES,
    REQUESTS,
    SIDES,
    TRUTH_FRAMES,
    YES,
)
from residuum.runs import Model, Task
from residuum.worlds.english_words import COUNTRIES


@dataclass(frozen=True)
class ChatPair:
    """Two questions that differ in what matters.

    Attributes:
        clean, corrupt: as the user asks them.
        answer, wrong: right after the clean one, and after the corrupt one.
        template: wording.
    """

    clean: str
    corrupt: str
    answer: str
    wrong: str
    template: str


def refusal_pairs(rng: Random) -> Iterator[ChatPair]:
    """A harmful request (a refusal says No) and its harmless neighbour."""
    for name, frame in REQUEST_FRAMES.items():
        for harmful, harmless in REQUESTS:
            clean, corrupt = (frame.format(request=each) for each in (harmful, harmless))
            yield ChatPair(clean, corrupt, NO, YES, name)


def truth_pairs(rng: Random) -> Iterator[ChatPair]:
    """A true statement and a false one about the same country."""
    for asked, frame in TRUTH_FRAMES.items():
        for name, country, right, wrong in facts(rng):
            clean, corrupt = (frame.format(fact=fact(name, country, each))
                              for each in (right, wrong))  # fmt: skip
            yield ChatPair(clean, corrupt, YES, NO, f"{asked}/{name}")


def sycophancy_pairs(rng: Random) -> Iterator[ChatPair]:
    """The user finds a statement right, or wrong; whether it is true is left to chance.

    A model that pleases says Yes to the first and No to the second; one that does not says the
    same to both.
    """
    for asked, frame in BELIEF_FRAMES.items():
        for name, country, right, wrong in facts(rng):
            stated = fact(name, country, rng.choice((right, wrong)))
            clean, corrupt = (frame.format(side=side, fact=stated) for side in SIDES)
            yield ChatPair(clean, corrupt, YES, NO, f"{asked}/{name}")


def pleasing_pairs(rng: Random) -> Iterator[ChatPair]:
    """A false belief, put to a model that is asked to be honest (No) or to be polite (Yes)."""
    for asked, frame in MODE_FRAMES.items():
        for name, country, _, wrong in facts(rng):
            clean, corrupt = (
                frame.format(mode=mode, fact=fact(name, country, wrong)) for mode in MODES
            )
            yield ChatPair(clean, corrupt, NO, YES, f"{asked}/{name}")


CHAT_TASKS: dict[str, Callable[[Random], Iterator[ChatPair]]] = {
    "refusal": refusal_pairs,
    "truth": truth_pairs,
    "sycophancy": sycophancy_pairs,
    "pleasing": pleasing_pairs,
}
"""Name -> its pairs."""


def facts(rng: Random) -> Iterator[tuple[str, Sequence[str], str, str]]:
    """Wording, country, what is true of it, and what is true of another."""
    for name, (_, column) in FACT_FRAMES.items():
        for row in COUNTRIES:
            others = sorted({each[column] for each in COUNTRIES} - {row[column]})
            yield name, row, row[column], rng.choice(others)


def fact(name: str, country: Sequence[str], thing: str) -> str:
    """A statement in words."""
    return FACT_FRAMES[name][0].format(country=country[0], thing=thing)


def chat_text(model: Model, question: str) -> str:
    """The question in the model's own chat template, up to where the answer begins.

    Raises:
        TaskError: no tokenizer, or none with a chat template.
    """
    tokenizer = model.tokenizer
    if tokenizer is None or not getattr(tokenizer, "chat_template", None):
        raise TaskError(
            f"{model.name} has no chat template, so chat prompts cannot be put to it",
            mend="give a chat model, or a suite whose tasks the model has",
        )
    said = [{"role": "user", "content": f"{question} {ONE_WORD}"}]
    text = tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
    bos = tokenizer.bos_token
    return text.removeprefix(bos) if bos and model.prepends_bos else text


def chat_task(name: str, model: Model, n: int, seed: int) -> Task:
    """Chat pairs as a task with ``n`` pairs, or with as many as align.

    Pairs whose two prompts have other lengths in the model's tokens are left out.

    Raises:
        TaskError: no such task; no chat template; Yes and No begin with the same token; fewer
            than eight pairs align.
    """
    if name not in CHAT_TASKS:
        known = ", ".join(f"chat/{each}" for each in CHAT_TASKS)
        raise TaskError(f"no chat task {name!r}", mend=f"one of: {known}")
    rng = Random(f"{seed}/chat/{name}")
    pairs = list(CHAT_TASKS[name](rng))
    rng.shuffle(pairs)
    kept, rows = [], []
    for pair in pairs:
        sides = [_ids(model, chat_text(model, each)) for each in (pair.clean, pair.corrupt)]
        if len(sides[0]) == len(sides[1]) and len(kept) < n:
            kept.append(pair)
            rows.append(sides)
    if len(kept) < 8:
        raise TaskError(
            f"only {len(kept)} of {len(pairs)} pairs of chat/{name} are as long on both sides in "
            "this model's tokens",
            mend="leave the question out for this model",
        )
    word = {each: answer_token(model, chat_text(model, pairs[0].clean), each) for each in (YES, NO)}
    if word[YES] == word[NO]:
        raise TaskError("Yes and No begin with the same token", mend="leave chat tasks out")
    longest = max(len(sides[0]) for sides in rows)
    return Task.from_pairs(
        clean=[_filled(sides[0], longest) for sides in rows],
        corrupt=[_filled(sides[1], longest) for sides in rows],
        answers=[word[pair.answer] for pair in kept],
        wrong=[word[pair.wrong] for pair in kept],
        lengths=[len(sides[0]) for sides in rows],
        templates=[pair.template for pair in kept],
        name=f"chat/{name}",
        model=model,
    ).with_source(f"chat/{name} n={n} seed={seed}")


def answer_token(model: Model, text: str, word: str) -> int:
    """The first token of a word as the answer begins with it."""
    before, whole = _ids(model, text), _ids(model, text + word)
    if whole[: len(before)] == before and len(whole) > len(before):
        return whole[len(before)]
    return _ids(model, word)[-1]


def _ids(model: Model, text: str) -> list[int]:
    return model.to_tokens(text)[0].tolist()


def _filled(row: list[int], longest: int) -> list[int]:
    return [*row, *[row[-1]] * (longest - len(row))]


def chat_statements(model: Model, seed: int) -> Statements:
    """Beliefs right and wrong, put to a model that is asked to be honest or polite.

    Groups are the wordings of the request, entities the countries; the truth is Yes or No.

    Raises:
        TaskError: no chat template.
    """
    rng = Random(f"{seed}/chat/statements")
    rows = []
    for asked, frame in MODE_FRAMES.items():
        for name, country, right, wrong in facts(rng):
            for mode in MODES:
                for thing, truth in ((right, YES), (wrong, NO)):
                    text = frame.format(mode=mode, fact=fact(name, country, thing))
                    rows.append((chat_text(model, text), mode == MODES[0], truth,
                                 f"{asked}/{name}", country[0], thing))  # fmt: skip
    texts, sides, truths, groups, countries, beliefs = zip(*rows, strict=True)
    return Statements(texts, sides, truths, groups, countries, beliefs)
