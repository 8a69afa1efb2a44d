"""Plain arguments of the public verbs: what has another type or value is refused by name."""

from __future__ import annotations

from typing import Any

from residuum.core import OptionError, TaskError

_MODEL = ("run", "d_vocab", "n_ctx", "tokenizer")
_TASK = ("check_fits", "clean", "corrupt", "answers")
_SHOWN = 40
_MOST = 2**63 - 1


def shown(value: Any) -> str:
    """A value as one short line: itself if it is short, else its type."""
    text = repr(value)
    short = len(text) <= _SHOWN and text.isprintable()
    return text if short else f"a value of type {type(value).__name__}"


def need_model(value: Any, verb: str) -> None:
    """Refuse what is no loaded model.

    Raises:
        OptionError: it is none.
    """
    if isinstance(value, type) or not all(hasattr(value, name) for name in _MODEL):
        raise OptionError(
            f"{verb} needs a loaded model, got {shown(value)}",
            mend="load it first: model = rz.load(...)",
        )


def need_task(value: Any, verb: str) -> None:
    """Refuse what is no task.

    Raises:
        TaskError: it is none.
    """
    if isinstance(value, type) or not all(hasattr(value, name) for name in _TASK):
        raise TaskError(
            f"{verb} needs a task, got {shown(value)}",
            mend="make it first: task = rz.task(name, model), or rz.Task.from_pairs(...)",
        )


def need_progress(value: Any) -> None:
    """Refuse what cannot be told of progress.

    Raises:
        OptionError: it has no ``start``, ``advance`` and ``finish``.
    """
    told = (getattr(value, name, None) for name in ("start", "advance", "finish"))
    if isinstance(value, type) or not all(callable(each) for each in told):
        raise OptionError(
            f"progress={shown(value)} cannot be told of progress",
            mend="leave it out, or give an object with start(), advance() and finish()",
        )


def need_text(value: Any, name: str) -> None:
    """Refuse what is no text.

    Raises:
        OptionError: it is none.
    """
    if not isinstance(value, str):
        raise OptionError(f"{name}={shown(value)} is no text", mend="give a text")


def whole_number(value: Any, name: str, least: int) -> int:
    """The number, if it is a whole one (True and False are none) from ``least`` to 2⁶³ - 1.

    Raises:
        OptionError: it is not.
    """
    if type(value) is not int or not least <= value <= _MOST:
        raise OptionError(
            f"{name}={shown(value)} is out of range",
            mend=f"give a whole number, {least} or more",
        )
    return value


def yes_or_no(value: Any, name: str) -> None:
    """Refuse what is neither True nor False.

    Raises:
        OptionError: it is neither.
    """
    if type(value) is not bool:
        raise OptionError(f"{name}={shown(value)} is no switch", mend="give True or False")


def refuse_unknown(unknown: dict[str, Any], verb: str, options: str) -> None:
    """Refuse options that a verb does not have.

    Args:
        options: those that it has, as text.

    Raises:
        OptionError: there are some.
    """
    if unknown:
        raise OptionError(
            f"unknown option {', '.join(sorted(unknown))} of {verb}",
            mend=f"its options are: {options}",
        )
