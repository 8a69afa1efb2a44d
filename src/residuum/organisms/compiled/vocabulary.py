"""Token ids of a compiled program: the beginning, the tokens, and outputs that are no tokens."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from residuum.core import OptionError, TokenError

BEGINNING, NUMBER, NOTHING = "<begin>", "<number>", "<zero>"
_OWN = (BEGINNING, NUMBER, NOTHING)


@dataclass(frozen=True)
class Vocabulary:
    """What each id stands for, on the way in and on the way out.

    Attributes:
        labels: id -> ``"<begin>"``, a token, or a value of the output.
        n_tokens: how many tokens can be read; ids 1 to ``n_tokens``.
        outputs: ids whose logit says something: one a value, or the one of a number.
    """

    labels: tuple[Any, ...]
    n_tokens: int
    outputs: tuple[int, ...]

    @property
    def begin(self) -> int:
        """The id that begins every prompt."""
        return 0

    @property
    def number(self) -> int:
        """The id whose logit is the number, where the output is one."""
        return self.id_of(NUMBER)

    @property
    def nothing(self) -> int:
        """An id whose logit is always 0, to compare a number with."""
        return self.id_of(NOTHING)

    def id_of(self, value: Any) -> int:
        """The id of a token or of an output value."""
        return self.labels.index(value)

    def encode(self, values: Sequence[Any]) -> list[int]:
        """Ids of a prompt, beginning included.

        Raises:
            TokenError: a value that is no token.
        """
        known = self.labels[1 : 1 + self.n_tokens]
        for value in values:
            if value not in known:
                raise TokenError(
                    f"{value!r} is no token of this program",
                    mend=f"its tokens are {', '.join(map(repr, known[:20]))}",
                )
        return [self.begin, *(1 + known.index(value) for value in values)]


def vocabulary_of(tokens: Sequence[Any], outputs: Sequence[Any] | None) -> Vocabulary:
    """Ids for these tokens and these values of the output.

    Args:
        tokens: what a prompt is made of.
        outputs: values of the output; None for a number.

    Raises:
        OptionError: no tokens, tokens twice, or values that cannot be told from the package's own.
    """
    found = list(tokens)
    bad = [value for value in found if not isinstance(value, Hashable) or value in (*_OWN, None)]
    if not found or bad or len(set(found)) != len(found):
        raise OptionError(
            f"a vocabulary of {found!r:.80} cannot be used",
            mend="give different values, at least one, none of them None or "
            f"{', '.join(_OWN)}; a text means its letters",
            where="vocabulary",
        )
    written = (NUMBER, NOTHING) if outputs is None else tuple(outputs)
    labels = (BEGINNING, *found, *(value for value in written if value not in found))
    ids = tuple(labels.index(value) for value in (written[:1] if outputs is None else written))
    return Vocabulary(labels, len(found), ids)
