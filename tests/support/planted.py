"""A tiny model with planted directions: one that is read, a decoy, one for another behaviour.

Every word's embedding is ``± used ± decoy ± other`` and noise. The unembedding reads ``used`` into
the answers YES and NO, ``other`` into UP and DOWN, and the decoy into nothing. There is no norm,
and the one block writes nothing: what an edit does is known exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

import residuum as rz
from residuum.models.native import NativeConfig, NativeForCausalLM

WIDTH = 32
FILLERS = 8
TASK_FILLERS = 6
"""The first fillers are the tasks' templates; the others are for examples to find directions on."""
EACH = 24
"""Words of every combination of signs."""
YES, NO, UP, DOWN = range(4)
FIRST_FILLER = 4
FIRST_WORD = FIRST_FILLER + FILLERS
STRENGTH, NOISE, GAIN = 1.0, 0.4, 2.0


@dataclass(frozen=True, eq=False)
class Planted:
    """The model and what was planted: unit vectors ``[d]``, and each word's three signs."""

    model: rz.Model
    used: Tensor
    decoy: Tensor
    other: Tensor
    signs: Tensor

    def words(self, used: int = 0, decoy: int = 0, other: int = 0) -> list[int]:
        """Token ids of the words with these signs; 0 takes either."""
        wanted = torch.tensor([used, decoy, other])
        fits = ((wanted == 0) | (self.signs == wanted)).all(dim=1)
        return (FIRST_WORD + fits.nonzero()[:, 0]).tolist()

    def examples(self, labels: list[int]) -> rz.Examples:
        """Every word once, behind fillers that no task has; labels in the order of ``signs``."""
        fillers = [FIRST_FILLER + TASK_FILLERS + i % 2 for i in range(len(labels))]
        texts = [list(pair) for pair in zip(fillers, self.words(), strict=True)]
        return rz.Examples.from_texts(self.model, texts, labels, list(map(str, fillers)))

    def task(self, n: int = 48, seed: int = 0, decoyed: bool = True) -> rz.Task:
        """Pairs that differ in ``used``; the decoy agrees with it if ``decoyed``."""
        generator = torch.Generator().manual_seed(seed)

        def side(sign: int, other: int) -> int:
            words = self.words(sign, sign if decoyed else 0, other)
            return words[int(torch.randint(len(words), (1,), generator=generator))]

        return self._pairs("planted", side, n, (YES, NO), generator)

    def other_task(self, n: int = 24, seed: int = 1) -> rz.Task:
        """Pairs that differ in ``other`` alone, as far as signs go."""
        generator = torch.Generator().manual_seed(seed)

        def side(sign: int, used: int) -> int:
            words = self.words(used, used, sign)
            return words[int(torch.randint(len(words), (1,), generator=generator))]

        return self._pairs("other", side, n, (UP, DOWN), generator)

    @staticmethod
    def _pairs(name, side, n, answers, generator) -> rz.Task:
        fillers = torch.randint(TASK_FILLERS, (n,), generator=generator)
        shared = (2 * torch.randint(2, (n,), generator=generator) - 1).tolist()
        clean, corrupt = (
            [[FIRST_FILLER + int(f), side(sign, s)] for f, s in zip(fillers, shared, strict=True)]
            for sign in (1, -1)
        )
        return rz.Task.from_pairs(
            clean=clean,
            corrupt=corrupt,
            answers=[answers[0]] * n,
            wrong=[answers[1]] * n,
            name=name,
            templates=[f"filler {int(f)}" for f in fillers],
        )


def planted(
    seed: int = 0,
    strength: tuple[float, float, float] = (STRENGTH, STRENGTH, STRENGTH),
    noise: float = NOISE,
) -> Planted:
    """The model; the same seed plants the same directions.

    Args:
        strength: length of used, decoy and other in a word.
        noise: standard deviation along every other direction.
    """
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=generator)).Q.T
    used, decoy, other = basis[:3]
    signs = torch.cartesian_prod(*[torch.tensor([1, -1])] * 3).repeat(EACH, 1)
    vocabulary = FIRST_WORD + len(signs)
    config = NativeConfig(
        n_layers=1, n_heads=2, d_model=WIDTH, d_vocab=vocabulary, n_ctx=4, normalization=None
    )
    hf = NativeForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in hf.parameters():
            parameter.zero_()
        rest = noise * torch.randn(len(signs), WIDTH - 3, generator=generator) @ basis[3:]
        words = (torch.tensor(strength) * signs.float()) @ basis[:3] + rest
        hf.model.embed.weight[FIRST_WORD:] = words
        fillers = torch.randn(FILLERS, WIDTH, generator=generator)
        hf.model.embed.weight[FIRST_FILLER:FIRST_WORD] = fillers
        for answer, row in ((YES, used), (NO, -used), (UP, other), (DOWN, -other)):
            hf.lm_head.weight[answer] = GAIN * row
    return Planted(rz.load(hf, check=False), used, decoy, other, signs)
