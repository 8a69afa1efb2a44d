"""A suite: the questions of a review, read from a TOML file in which nothing is ignored."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args, get_type_hints

from residuum.core import LoadError, OptionError, StoreError, content_hash
from residuum.findings.audit.options import KINDS, Options
from residuum.findings.record.budget import budget_named
from residuum.findings.record.plain import from_plain, to_plain

SCHEMA = "residuum.suite/1"
_SUITE = ("schema", "name", "about", "budget", "seeds", "question")
_QUESTION = ("name", "kind", "asks", "options")


@dataclass(frozen=True)
class Question:
    """One question of a suite.

    Attributes:
        name: short, of this question alone.
        kind: one of :data:`residuum.findings.audit.options.KINDS`.
        asks: the question in words.
        options: of its kind.
    """

    name: str
    kind: str
    asks: str
    options: Options


@dataclass(frozen=True)
class Suite:
    """The questions of a review.

    Attributes:
        name: of the suite.
        about: what it is for, in a sentence.
        budget: as of an investigation: ``quick``, ``standard`` or ``thorough``.
        seeds: every question is asked once with each.
        questions: in the order in which they are asked.
    """

    name: str
    about: str
    budget: str
    seeds: tuple[int, ...]
    questions: tuple[Question, ...]

    @property
    def hash(self) -> str:
        """SHA-256 over all of it."""
        return content_hash(to_plain(self))

    @staticmethod
    def load(source: str | Path) -> Suite:
        """Read a suite: a TOML file, or the name of one that ships (:func:`shipped_suites`).

        Raises:
            LoadError: no such file or name, or not TOML.
            OptionError: an unknown key, kind, budget or option, one that is missing, or one of
                another type; each named, with what there is.
        """
        text, where = _text(source)
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise LoadError(
                f"not TOML: {error}", mend="mend the file at that place", where=where
            ) from error
        return suite_of(data, where)


def shipped_suites() -> tuple[str, ...]:
    """Names of the suites inside the package."""
    found = (files("residuum.findings.audit") / "suites").iterdir()
    return tuple(sorted(each.name.removesuffix(".toml") for each in found))


def _text(source: str | Path) -> tuple[str, str]:
    if isinstance(source, str) and source in shipped_suites():
        return (files("residuum.findings.audit") / "suites" / f"{source}.toml").read_text(
            encoding="utf-8"
        ), source
    try:
        return Path(source).read_text(encoding="utf-8"), str(source)
    except (OSError, ValueError) as error:
        raise LoadError(
            f"cannot read a suite: {getattr(error, 'strerror', None) or error}",
            mend=f"give a TOML file, or one of: {', '.join(shipped_suites())}",
            where=str(source),
        ) from error


def suite_of(data: Mapping[str, Any], where: str = "suite") -> Suite:
    """Build a suite from plain data; see :meth:`Suite.load`."""
    _closed(data, _SUITE, where, needed=("schema", "name", "question"))
    if data["schema"] != SCHEMA:
        raise OptionError(
            f"a suite of schema {data['schema']!r}",
            mend=f'this version reads schema = "{SCHEMA}"',
            where=where,
        )
    budget = data.get("budget", "quick")
    budget_named(_typed(budget, str, "budget", where))
    seeds = tuple(_typed(data.get("seeds", [0]), list, "seeds", where))
    if not seeds or any(type(seed) is not int or seed < 0 for seed in seeds):
        raise OptionError(
            f"seeds = {list(seeds)}", mend="give whole numbers from 0, such as [0]", where=where
        )
    entries = _typed(data["question"], list, "question", where)
    questions = tuple(_question(entry, f"{where}, question {i + 1}")
                      for i, entry in enumerate(entries))  # fmt: skip
    names = [each.name for each in questions]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not names:
        raise OptionError(
            f"two questions are named {', '.join(twice)}" if twice else "no question",
            mend="give every [[question]] a name of its own",
            where=where,
        )
    name, about = (_typed(data.get(key, ""), str, key, where) for key in ("name", "about"))
    return Suite(name, about, budget, seeds, questions)


def suite_from_plain(data: Mapping[str, Any]) -> Suite:
    """Read back what a record of a review holds."""
    return suite_of({
        "schema": SCHEMA,
        **{key: data[key] for key in ("name", "about", "budget", "seeds")},
        "question": data["questions"],
    })  # fmt: skip


def _question(data: Any, where: str) -> Question:
    data = _typed(data, dict, "question", where)
    _closed(data, _QUESTION, where, needed=("name", "kind", "asks"))
    name, kind, asks = (_typed(data[key], str, key, where) for key in ("name", "kind", "asks"))
    if kind not in KINDS:
        raise OptionError(
            f"no kind of question {kind!r}", mend=f"one of: {', '.join(KINDS)}", where=where
        )
    given = _typed(data.get("options", {}), dict, "options", where)
    return Question(name, kind, asks, _record(KINDS[kind], given, f"{where}, options"))


def _record(kind: Any, given: Mapping[str, Any], where: str) -> Any:
    """A record of options from those given and the defaults of the others."""
    parts = fields(kind)
    needed = tuple(each.name for each in parts if each.default is MISSING)
    _closed(given, tuple(each.name for each in parts), where, needed)
    hints = get_type_hints(kind)
    data = {each.name: given.get(each.name, to_plain(each.default)) for each in parts}
    for name, value in data.items():
        inside = next((each for each in get_args(hints[name]) if is_dataclass(each)), None)
        if inside is not None and isinstance(value, list):
            data[name] = [
                to_plain(
                    _record(inside, _typed(item, dict, "entry", where), f"{where}.{name}[{i}]")
                )
                for i, item in enumerate(value)
            ]
    try:
        return from_plain(kind, data, where)
    except StoreError as error:
        raise OptionError(error.what, mend="give a value of that type", where=where) from error


def _closed(
    data: Mapping[str, Any], known: tuple[str, ...], where: str, needed: tuple[str, ...]
) -> None:
    """Refuse keys that are not known, and the absence of those that are needed."""
    strange, missing = sorted(set(data) - set(known)), [each for each in needed if each not in data]
    if strange or missing:
        parts = [f"unknown key {key!r}" for key in strange]
        parts += [f"no {key!r}" for key in missing]
        raise OptionError(", ".join(parts), mend=f"its keys are: {', '.join(known)}", where=where)


def _typed(value: Any, kind: type, key: str, where: str) -> Any:
    if not isinstance(value, kind):
        names = {str: "text", list: "a list", dict: "a table"}
        raise OptionError(
            f"{key} is {type(value).__name__}", mend=f"give {names[kind]}", where=where
        )
    return value
