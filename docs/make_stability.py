"""Write the tables of docs/howto/judge-a-dictionary.md: four trainings on microworld, compared.

Run it from the repository: ``python docs/make_stability.py`` (three minutes of one core's time).
``--check`` only compares; figures may then differ by 5 % or one in the last digit, as machines
round differently. The learning rate was chosen by the loss of two trainings with other seeds; the
rest was fixed before the figures were seen.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

from page_table import main_of

HERE = Path(__file__).resolve().parent
PAGE = HERE / "howto" / "judge-a-dictionary.md"
START = "<!-- table: begin; written by docs/make_stability.py -->\n"
END = "<!-- table: end -->"
AT, LATENTS, ACTIVE = "L1.resid_post", (128, 256), 8
SEEDS = (10, 11, 12, 13)
TRAIN_TEXTS, TRAIN_SAMPLES, BATCH = 12_000, 2_000_000, 512
RATE = 3e-3
TEST_TEXTS, TEST_SEED, ROWS_EACH = 1500, 101, 24
LOW, THRESHOLD = 0.5, 0.7


def main() -> int:
    """Write or compare the page."""
    return main_of(PAGE, START, END, table, __doc__)


def table() -> str:
    """Both tables in Markdown: what is found again, and whether it matters more."""
    import torch

    import residuum as rz
    from residuum.dictionaries import dictionary_stability, evaluate_dictionary, harvest
    from residuum.worlds import microworld_text

    torch.set_num_threads(1)
    model = rz.load("microworld")
    stream = harvest(model, list(islice(microworld_text(1), TRAIN_TEXTS)), AT)
    text = list(islice(microworld_text(TEST_SEED), TEST_TEXTS))
    agree = [
        "| latents | explained variance | cross-entropy recovered (zeros) | (mean) "
        f"| found again at {THRESHOLD} | pairs from, to | by chance | at {LOW} | by chance "
        f"| decoders alone at {THRESHOLD} | encoders alone | by chance (encoders, decoders) |",
        "|" + "---|" * 12,
    ]
    matter = [
        "| latents | found in all three others, in none | effect: found in all, in none | "
        "difference | in pairs of like frequency | of like frequency and strength |",
        "|" + "---|" * 6,
    ]
    for latents in LATENTS:
        found = trained(stream, latents)
        scores = evaluate_dictionary(found[0], model, text)
        low = dictionary_stability(found, threshold=LOW)
        judged = dictionary_stability(found, model, text, threshold=THRESHOLD, rows_each=ROWS_EACH)
        agree.append(agreement_row(latents, scores, judged, low))
        matter.append(matter_row(latents, judged))
        print(agree[-1], matter[-1], sep="\n", flush=True)
    return "\n".join([*agree, "", *matter]) + "\n"


def trained(stream: Any, latents: int) -> list[Any]:
    """One dictionary a seed; the seed sets the start and the order of the samples."""
    from residuum.dictionaries import Adam, TopK, train_dictionary

    return [
        train_dictionary(
            stream.source(seed=seed), n_latents=latents, activation=TopK(ACTIVE), seed=seed,
            optimiser=Adam(RATE), samples=TRAIN_SAMPLES, batch_size=BATCH,
        ).dictionary
        for seed in SEEDS
    ]  # fmt: skip


def agreement_row(latents: int, scores: Any, judged: Any, low: Any) -> str:
    """How good they are, and how far they agree."""
    alone = judged.alone_share
    cells = [
        str(latents), ranged(scores.explained_variance, "{:.3f}"),
        ranged(scores.loss_recovered_zero_frac), ranged(scores.loss_recovered_mean_frac),
        ranged(judged.found_share), "{:.1%}, {:.1%}".format(*judged.pair_range), chance(judged),
        ranged(low.found_share), chance(low), ranged(alone["decoder"]), ranged(alone["encoder"]),
        ", ".join(f"{each.high:.1%}" for each in judged.alone_null.values()),
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def chance(compared: Any) -> str:
    """The greatest share over all drawings of both nulls."""
    return f"{max(compared.null_permuted.high, compared.null_rotated.high):.1%}"


def matter_row(latents: int, judged: Any) -> str:
    """Whether the latents found again matter more."""
    import numpy as np

    found = np.concatenate(judged.found)
    effect = np.concatenate([each.effect_nats for each in judged.effects])
    alive = ~np.isnan(effect)
    sides = [alive & (found == 1), alive & (found == 0)]
    means = ", ".join(f"{effect[side].mean():.4f}" if side.any() else "—" for side in sides)
    differences = [
        ranged(judged.matters[name], "{:.4f}") + f" ({judged.matters_n[name]})"
        for name in ("all", "frequency", "activity")
    ]
    counts = ", ".join(str(int(side.sum())) for side in sides)
    return "| " + " | ".join([str(latents), counts, means, *differences]) + " |"


def ranged(figure: Any, form: str = "{:.1%}") -> str:
    """A figure with its interval; a dash where there is none."""
    if figure.value != figure.value:
        return "—"
    ends = ", ".join(form.format(each) for each in (figure.low, figure.high))
    return f"{form.format(figure.value)} [{ends}]"


if __name__ == "__main__":
    raise SystemExit(main())
