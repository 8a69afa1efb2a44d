"""From a program to a transformer that computes it."""

from __future__ import annotations

import inspect
import random
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

import torch

from residuum.core import CheckFailed, OptionError
from residuum.organisms.compiled.assembling import assemble
from residuum.organisms.compiled.checked_loading import loaded
from residuum.organisms.compiled.expressions import Expression
from residuum.organisms.compiled.interpreter import interpret
from residuum.organisms.compiled.library import PROGRAMS, NamedProgram
from residuum.organisms.compiled.program import CompiledProgram
from residuum.organisms.compiled.scheduling import schedule
from residuum.organisms.compiled.vocabulary import vocabulary_of

MOST_LENGTH = 64
_COMPARED = 1000
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}


def compile_program(
    program: str | Expression,
    *,
    length: int | None = None,
    vocabulary: Sequence[Any] | None = None,
    causal: bool = False,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    **options: Any,
) -> CompiledProgram:
    """Turn a program into the weights of a transformer, whose circuit is then known.

    Args:
        program: a name from :data:`PROGRAMS` (length, hist, reverse, sort_unique, frac_prevs,
            shift, detect_pattern, dyck) or an expression of the language (``tokens``, ``indices``,
            ``select``, ``aggregate``, ``selector_width``, ``elementwise``, ``linear``).
        length: most tokens of a prompt, without the one that begins it.
        vocabulary: the tokens, any different values; a text means its letters.
        causal: True for a model whose positions see only themselves and earlier ones, and a program
            that is read so; by default both see everything.
        dtype: ``torch.float32`` or ``torch.float64``.
        seed: which prompts are compared where there are too many.
        options: of a named program: ``frac_prevs(token=)``, ``shift(by=)``,
            ``detect_pattern(pattern=)``, ``dyck(pairs=)``.

    Returns:
        The model with its program; compared with the interpreter on every prompt of every length
        where that is at most a thousand, and on a thousand drawn ones otherwise.

    Raises:
        OptionError: no such program or option; a predicate over too many values, one that answers
            no truth value, a function of a number whose values cannot be listed, an average over
            categorical values that differ.
        CheckFailed: the model computes something else than the interpreter.

    Source: Weiss et al. 2021, "Thinking like transformers" (the language); Lindner et al. 2023,
    "Tracr" (the construction, with the deviation named in ``assembling``).

    >>> compiled = compile_program("reverse", length=4, vocabulary="ab")
    >>> compiled.outputs("aab"), compiled.run("aab")
    (['b', 'a', 'a'], ['b', 'a', 'a'])
    """
    name, expression, known = _resolved(program, options)
    size = _length(known.length if known and length is None else length)
    if dtype not in _TOLERANCE:
        raise OptionError(f"dtype={dtype!r}", mend="use torch.float32 or torch.float64")
    if vocabulary is None and known is None:
        raise OptionError(
            "a program of one's own has no vocabulary", mend='give vocabulary=, such as "abc"'
        )
    given = _tokens(known.vocabulary if known and vocabulary is None else vocabulary)
    missing = [each for each in (known.named(**options) if known else ()) if each not in given]
    if missing:
        raise OptionError(
            f"{name} asks for {', '.join(map(repr, missing))}, which the vocabulary lacks",
            mend="add it to vocabulary=, or ask for tokens that are there",
        )
    plan = schedule(expression, given, size)
    values = None if expression.numerical else plan.values[id(expression)].values
    words = vocabulary_of(plan.vocabulary, values)
    model = loaded(assemble(plan, words, causal=bool(causal), dtype=dtype))
    prompts = _prompts(plan.vocabulary, size, seed)
    made = CompiledProgram(name, expression, model, words, size, bool(causal), len(prompts), plan)
    _compare(made, prompts, _TOLERANCE[dtype])
    return made


def _resolved(program: Any, options: dict[str, Any]) -> tuple[str, Expression, NamedProgram | None]:
    """Name, expression, and the library's entry."""
    if isinstance(program, Expression):
        if options:
            _refuse_options(options, "a program of one's own", "vocabulary, length, causal, dtype")
        return program.name or program.kind, program, None
    if program not in PROGRAMS:
        raise OptionError(
            f"no program {program!r:.60}",
            mend=f"one of {', '.join(PROGRAMS)}, or an expression of the language",
        )
    known = PROGRAMS[program]
    own = list(inspect.signature(known.build).parameters)
    if set(options) - set(own):
        _refuse_options({k: v for k, v in options.items() if k not in own}, program,
                        ", ".join(["vocabulary", "length", "causal", "dtype", *own]))  # fmt: skip
    return program, known.build(**options), known


def _refuse_options(options: dict[str, Any], name: str, known: str) -> None:
    raise OptionError(f"unknown option {', '.join(options)} of {name}", mend=f"use {known}")


def _tokens(vocabulary: Any) -> list[Any]:
    """The vocabulary as a list, checked."""
    if not isinstance(vocabulary, Iterable):
        raise OptionError(
            f"vocabulary={vocabulary!r:.40}", mend='give the tokens, such as "abc" or range(5)'
        )
    given = list(vocabulary)
    vocabulary_of(given, None)
    return given


def _length(length: Any) -> int:
    if not isinstance(length, int) or isinstance(length, bool) or not 1 <= length <= MOST_LENGTH:
        raise OptionError(f"length={length!r}", mend=f"give a whole number from 1 to {MOST_LENGTH}")
    return length


def _prompts(vocabulary: tuple[Any, ...], length: int, seed: int) -> list[tuple[Any, ...]]:
    """Every prompt of every length, or some of them."""
    total = sum(len(vocabulary) ** size for size in range(1, length + 1))
    if total <= _COMPARED:
        return [p for size in range(1, length + 1) for p in product(vocabulary, repeat=size)]
    dice = random.Random(seed)
    sizes = [1 + number % length for number in range(_COMPARED)]
    return [tuple(dice.choice(vocabulary) for _ in range(size)) for size in sizes]


def _compare(made: CompiledProgram, prompts: list[tuple[Any, ...]], tolerance: float) -> None:
    """Refuse a model that differs from the interpreter on any prompt."""
    by_size: dict[int, list[tuple[Any, ...]]] = {}
    for prompt in prompts:
        by_size.setdefault(len(prompt), []).append(prompt)
    for same in by_size.values():
        ids = torch.tensor([made.encode(prompt) for prompt in same])
        with torch.no_grad():
            found = made.model.hf(ids, use_cache=False).logits[:, 1:]
        wanted = torch.stack([expected_logits(made, prompt) for prompt in same]).to(found)
        gap = (found - wanted).abs().amax((1, 2))
        if float(gap.max()) > tolerance:
            worst = same[int(gap.argmax())]
            raise CheckFailed(
                f"the compiled {made.name} gives {made.outputs(worst)!r:.80} on {worst!r:.60}, "
                f"the interpreter {made.run(worst)!r:.80}",
                mend="numbers may lie too close together: use fewer values, a shorter length, or "
                "dtype=torch.float64",
                where=made.name,
            )


def expected_logits(made: CompiledProgram, prompt: tuple[Any, ...]) -> torch.Tensor:
    """What the interpreter says, as logits ``[pos d_vocab]`` of the prompt's own tokens."""
    logits = torch.zeros(len(prompt), len(made.vocabulary.labels), dtype=torch.float64)
    values = interpret(made.program, prompt, causal=made.causal)
    for at, value in enumerate(values):
        if made.program.numerical:
            logits[at, made.vocabulary.number] = float(value)
        elif value is not None:
            logits[at, made.vocabulary.id_of(value)] = 1.0
    return logits
