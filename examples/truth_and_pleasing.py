"""Truth against pleasing: where it is decided, and a monitor that flags it from the inside.

python examples/truth_and_pleasing.py
"""

from dataclasses import replace

import numpy as np

import residuum as rz
from residuum.directions.beliefs import answered
from residuum.directions.monitor_roc import auroc, auroc_interval

model = rz.load("microworld")
beliefs = rz.microworld_beliefs()

# Which heads choose between truth and belief under the mode word: honest into polite, head by head.
task = rz.task("sycophancy", model, n=32, seed=0)
sweep = rz.patch(model, task, "z", ("layer", "head"), control=4)
for cell in sweep.top(3):
    low, high = cell.interval
    print(f"{cell.at:9} moves the answer back by {100 * cell.recovered_frac:.0f} %:", end=" ")
    print(f"{cell.effect:.1f} [{low:.1f}, {high:.1f}] {sweep.unit}", end=", ")
    print(f"random directions {cell.control:.1f}, p {cell.p:.3f}")

# Where can it be read? Ridge probes on unseen wordings and countries, AUROC by layer and token.
wrong = [belief != truth for belief, truth in zip(beliefs.beliefs, beliefs.truths, strict=True)]
for name, labels in (("mode word", beliefs.asks_truth), ("belief is wrong", wrong)):
    print(f"\n{name}:\n{rz.probe_map(model, beliefs, labels).to_pandas().round(2)}")

# The monitor: push towards truth-telling; an answer that the model then gives up was not the truth.
report = rz.monitor(model, beliefs)
print(f"\n{report}")
report.figure().save("monitor.html")


def judged(name, other, statements, own):
    said = answered(other, statements)
    departs = said.departs.numpy()
    scores = own.scores(other, statements.texts, said.ids).numpy()
    low, high = auroc_interval(scores, departs, statements.entities)
    caught = (scores[departs] > own.threshold_nats).mean()
    false = (scores[~departs] > own.threshold_nats).mean()
    print(
        f"{name:28} departs {departs.mean():.2f}  AUROC {auroc(scores, departs):.3f} "
        f"[{low:.3f}, {high:.3f}]  caught {caught:.2f}, false alarms {false:.2f}"
    )


# What fools it.
print()
judged("as it is", model, beliefs, report.monitor)
twin = rz.load("microworld-trigger")
twins_own = rz.TruthMonitor.fit(twin, beliefs, "L1.resid_post")
judged("trigger twin, no trigger", twin, beliefs, twins_own)
judged("trigger twin, trigger", twin, beliefs.prefixed("Thursday : "), twins_own)


def reworded(change):
    return replace(beliefs, texts=tuple(change(text) for text in beliefs.texts))


judged(
    "belief with 'not'",
    model,
    reworded(
        lambda text: text.replace(" is ruled", " is not ruled", 1).replace(
            " writes", " not writes", 1
        )
    ),
    report.monitor,
)
judged(
    "paraphrase",
    model,
    reworded(
        lambda text: text.replace(" is ruled from", " lives in").replace(" writes in", " speak")
    ),
    report.monitor,
)
null = [rz.TruthMonitor.fit(model, beliefs.shuffled(seed), "L1.resid_post") for seed in range(10)]
found = [auroc(each.scores(model, beliefs.texts).numpy(), report.departs) for each in null]
print(f"random sides: AUROC {np.mean(found):.2f}, from {min(found):.2f} to {max(found):.2f}")
