"""``induction``: random words, then the same words again; the period is random as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from residuum.core.pairs import ContrastPair
from residuum.worlds.frames import chosen
from residuum.worlds.words import ECHO_WORDS

PERIODS = range(3, 12)
MAX_WORDS = 30
_POOL = frozenset(ECHO_WORDS)


def reserved_bigram(first: str, second: str) -> bool:
    """Whether ``first second`` never stand next to each other in training."""
    return first in _POOL and second in _POOL and chosen("induction", first, second)


@dataclass(frozen=True)
class Repeats:
    """Sequences without grammar: half from everyday nouns, half from the whole vocabulary."""

    everything: tuple[str, ...]
    name: str = "induction"

    def sentence(self, rng: Random) -> list[str]:
        """A random sequence repeated to between two full periods and ``MAX_WORDS``."""
        period = rng.choice(PERIODS)
        pool = ECHO_WORDS if rng.random() < 0.5 else self.everything
        chain = _chain(rng, pool, period)
        length = rng.randint(2 * period, max(2 * period, MAX_WORDS))
        return [chain[index % period] for index in range(length)]

    def pair(self, rng: Random, held_out: bool) -> ContrastPair:
        """The word after the first mention is changed; only that bigram may be reserved."""
        while True:
            period = rng.choice(PERIODS)
            chain = _chain(rng, ECHO_WORDS, period)
            at = rng.randrange(period - 1)
            word, spare = chain[at], [w for w in ECHO_WORDS if w not in chain]
            fitting = [w for w in spare if reserved_bigram(word, w) == held_out]
            rng.shuffle(fitting)
            for clean, corrupt in zip(fitting[::2], fitting[1::2], strict=False):
                if not self._clash(chain, at, clean) and not self._clash(chain, at, corrupt):
                    return self._paired(chain, at, clean, corrupt)

    @staticmethod
    def _clash(chain: Sequence[str], at: int, word: str) -> bool:
        following = chain[(at + 2) % len(chain)]
        return reserved_bigram(word, following)

    def _paired(self, chain: list[str], at: int, clean: str, corrupt: str) -> ContrastPair:
        sides = []
        for word in (clean, corrupt):
            side = chain.copy()
            side[at + 1] = word
            sides.append(" ".join([*side, *side[: at + 1]]))
        end = len(chain) + at
        return ContrastPair(
            clean=sides[0],
            corrupt=sides[1],
            answers=(clean,),
            wrong=(corrupt,),
            positions={"A1": at, "B1": at + 1, "A2": end, "end": end},
            template="repeat",
        )

    def control(self, rng: Random, held_out: bool) -> ContrastPair:
        """A word of the sequence changes that is neither before nor at the answer."""
        while True:
            pair = self.pair(rng, held_out)
            words = pair.clean.split()
            free = [i for i in range(pair.positions["A1"] + 2, self._period(words, pair))]
            if not free:
                continue
            at = rng.choice(free)
            spare = [w for w in ECHO_WORDS if w not in words and w not in pair.wrong]
            words[at] = rng.choice(spare)
            if any(reserved_bigram(*words[i : i + 2]) for i in (at - 1, at)):
                continue
            return ContrastPair(
                pair.clean, " ".join(words), pair.answers, pair.wrong, pair.positions, "repeat"
            )

    @staticmethod
    def _period(words: Sequence[str], pair: ContrastPair) -> int:
        return len(words) - 1 - pair.positions["A1"]

    def reserved(self, words: Sequence[str]) -> bool:
        """Whether any two neighbours are a reserved bigram, in whatever sentence."""
        return any(reserved_bigram(a, b) for a, b in pairwise(words))

    def answers_to(self, words: Sequence[str]) -> tuple[str, ...]:
        """The word after the earlier mention of the last word; empty if there is none."""
        earlier = words[:-1]
        return (words[earlier.index(words[-1]) + 1],) if words[-1] in earlier else ()

    def vocabulary(self) -> set[str]:
        """The words of the everyday pool."""
        return set(ECHO_WORDS)


def _chain(rng: Random, pool: Sequence[str], period: int) -> list[str]:
    """``period`` different words in a ring without a reserved bigram."""
    while True:
        chain: list[str] = []
        while len(chain) < period:
            word = rng.choice(pool)
            if word not in chain and not (chain and reserved_bigram(chain[-1], word)):
                chain.append(word)
        if not reserved_bigram(chain[-1], chain[0]):
            return chain
