"""Next-token loss on plain text, intact and with a mechanism held at its mean over it."""

from __future__ import annotations

from collections.abc import Sequence

from residuum.findings.chain.bench import Bench
from residuum.findings.chain.lever import Lever
from residuum.findings.chain.texts import Texts
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.specificity_evidence import Spared, TextLoss
from residuum.findings.record.specificity_rules import TEXT_UP


def text_loss(bench: Bench, lever: Lever, texts: Texts, sets: int) -> TextLoss:
    """The loss before and after the mechanism is held at its mean over these texts.

    Args:
        bench: whose model reads them.
        lever: the mechanism.
        texts: at least two.
        sets: random ones of its size, held for comparison.
    """
    before, without, *random = lever.text_losses(bench, texts, sets)
    rises = [float((each - before).mean()) for each in random]
    up, start = Estimate.of_mean((without - before).tolist()), Estimate.of_mean(before.tolist())
    return TextLoss(
        source=texts.source,
        texts=len(texts.rows),
        tokens=texts.tokens,
        before=start,
        up=up,
        random_up=tuple(rises),
        verdict=judged(up, TEXT_UP * start.value, rises),
    )


def judged(up: Estimate, bound: float, random: Sequence[float]) -> Spared:
    """What follows from a rise; without random ones no harm counts as a need."""
    if up.low > bound:
        return "unclear" if not random else "as random" if up.value <= max(random) else "needed"
    return "spared" if up.high <= bound else "unclear"
