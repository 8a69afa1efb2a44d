"""Labels without a language model: the rule about tokens that tells best where a latent is active.

A handful of tokens, the token before, a word earlier in the sentence, or a place in the text: each
is tried on the contexts that labels are made from, and the best rule is judged like any label.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from residuum.core import OptionError
from residuum.dictionaries.labels.latent_examples import LatentExamples
from residuum.dictionaries.labels.rules import Rule, sentence_ends
from residuum.dictionaries.labels.score import Answers
from residuum.dictionaries.labels.trials import Questions, Trial
from residuum.runs.arguments import whole_number


@dataclass(frozen=True)
class TokenStatistics:
    """Label by the best rule about tokens.

    Attributes:
        candidates: tokens (and places) of each kind that are tried.
        most: tokens a rule may name.
        gain: by how much another token must improve a rule's score on the examples it is made from.

    Raises:
        OptionError: out of range.
    """

    candidates: int = 30
    most: int = 5
    gain: float = 0.01

    def __post_init__(self) -> None:
        whole_number(self.candidates, "candidates", 1)
        whole_number(self.most, "most", 1)
        if not isinstance(self.gain, (int, float)) or not 0 <= self.gain < 1:
            raise OptionError(f"gain={self.gain!r} is out of range", mend="give 0 or more, below 1")

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"by": "TokenStatistics", **asdict(self)}

    def rule(self, examples: LatentExamples, trial: Trial) -> Rule:
        """The rule with the best score on the contexts that labels are made from."""
        counts = _Counted.of(examples, trial)
        found = [self._grown(counts, several) for several in self._starts(counts)]
        return max(found, key=counts.score)

    def _starts(self, counts: _Counted) -> Iterator[list[Rule]]:
        stops = sentence_ends(counts.vocabulary)
        for kind in ("on", "after", "since", "at"):
            own = stops if kind == "since" else ()
            tokens = counts.telling(kind, own, self.candidates)
            if tokens:
                yield [Rule(kind, (each,), own) for each in tokens]

    def _grown(self, counts: _Counted, several: list[Rule]) -> Rule:
        """The best of one kind, with tokens added as long as each improves it."""
        best = max(several, key=counts.score)
        while len(best.tokens) < self.most:
            rest = [each.tokens for each in several if each.tokens[0] not in best.tokens]
            wider = [Rule(best.kind, best.tokens + each, best.stops) for each in rest]
            if not wider:
                return best
            next_one = max(wider, key=counts.score)
            if counts.score(next_one) < counts.score(best) + self.gain:
                return best
            best = next_one
        return best


def rule_answers(rule: Rule, examples: LatentExamples, questions: Questions) -> Answers:
    """What a rule says: active if it fires anywhere; marks right if it fires at more than half."""
    contexts = questions.contexts
    fires = rule.fires(examples.ids[contexts], examples.offsets[contexts])
    if not questions.marks:
        return np.any(fires, axis=1).tolist()
    return [bool(2 * own[list(at)].sum() > len(at))
            for own, at in zip(fires, questions.marks, strict=True)]  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Counted:
    """The contexts that statistics are taken over.

    Attributes:
        ids, active: ``[context pos]``; offsets: ``[context]``.
    """

    ids: np.ndarray
    offsets: np.ndarray
    active: np.ndarray
    vocabulary: Mapping[int, str]

    @staticmethod
    def of(examples: LatentExamples, trial: Trial) -> _Counted:
        contexts = np.concatenate([trial.counted, trial.counted_inactive])
        active = examples.activations(trial.latent, contexts) > 0
        return _Counted(examples.ids[contexts], examples.offsets[contexts], active, examples.words)

    def telling(self, kind: str, stops: tuple[int, ...], n: int) -> list[int]:
        """Tokens (or places) that are most often there where the latent is active, and seldom
        where it is not: by the difference of the two shares."""
        real = self.ids >= 0
        if kind == "at":
            numbers = self.offsets[:, None] + np.arange(self.ids.shape[1])
        elif kind == "after":
            numbers = np.full_like(self.ids, -1)
            numbers[:, 1:] = self.ids[:, :-1]
        else:
            numbers = self.ids
        if kind == "since":
            return self._earlier(stops, n)
        known = real & (numbers >= 0)
        size = int(numbers[known].max(initial=0)) + 1
        hits = np.bincount(numbers[known & self.active], minlength=size)
        misses = np.bincount(numbers[known & ~self.active], minlength=size)
        return _best(hits / max(hits.sum(), 1) - misses / max(misses.sum(), 1), n)

    def _earlier(self, stops: tuple[int, ...], n: int) -> list[int]:
        """The same of tokens that stand earlier in the context."""
        first = np.where(self.active.any(1), self.active.argmax(1), self.ids.shape[1])
        earlier = (np.arange(self.ids.shape[1]) < first[:, None]) & (self.ids >= 0)
        yes = self.active.any(1)
        size = int(self.ids.max(initial=0)) + 1
        shares = [_share_with(self.ids[some], earlier[some], size) for some in (yes, ~yes)]
        gain = shares[0] - shares[1]
        gain[list(stops)] = 0
        return _best(gain, n)

    def score(self, rule: Rule) -> float:
        """Mean of the balanced accuracy over contexts and over the active contexts' tokens."""
        fires = rule.fires(self.ids, self.offsets)
        yes = np.any(self.active, axis=1)
        whole = _balanced(fires.any(1), yes, np.ones(yes.shape, bool))
        return (whole + _balanced(fires[yes], self.active[yes], self.ids[yes] >= 0)) / 2


def _balanced(said: Any, truth: Any, counts: Any) -> float:
    yes, no = truth & counts, ~truth & counts
    right = said[yes].mean() if yes.any() else 0.5
    return float(right + (1 - said[no].mean() if no.any() else 0.5)) / 2


def _share_with(ids: np.ndarray, counts: np.ndarray, size: int) -> np.ndarray:
    """``[token]`` share of the contexts that hold it where it counts."""
    if not len(ids):
        return np.zeros(size)
    row = np.nonzero(counts)[0]
    pairs = np.unique(row * size + ids[counts])
    return np.bincount(pairs % size, minlength=size) / len(ids)


def _best(gain: np.ndarray, n: int) -> list[int]:
    order = np.argsort(-gain, kind="stable")[:n]
    return [int(each) for each in order if gain[each] > 0]
