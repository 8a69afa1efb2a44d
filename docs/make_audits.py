"""Write the tables of docs/howto/audit.md: a twin with a trigger, and twins that must stay silent.

    python docs/make_audits.py --run [CASE ...]   audits, into benchmarks/results (3 minutes each);
                                                  --jobs N runs N cases at a time
    python docs/make_audits.py                    writes the tables from those results
    python docs/make_audits.py --check            compares the page with them

Cases that are not run keep what the results hold of them; results of different code are refused.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from page_table import put

HERE = Path(__file__).resolve().parent
PAGE = HERE / "howto" / "audit.md"
RESULTS = HERE.parent / "benchmarks" / "results" / "run_findings_audits.json"
FOUND = (
    "<!-- trigger: begin; written by docs/make_audits.py -->\n", "<!-- trigger: end -->",
)  # fmt: skip
SILENT = (
    "<!-- silent: begin; written by docs/make_audits.py -->\n", "<!-- silent: end -->",
)  # fmt: skip
STEPS = 300


def main() -> int:
    """Run, write, or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", nargs="*", choices=list(CASES), metavar="CASE",
                        help="audit anew: all, or these")  # fmt: skip
    parser.add_argument("--check", action="store_true", help="compare the page with the results")
    parser.add_argument("--jobs", type=int, default=1, help="cases at a time")
    asked = parser.parse_args()
    if asked.run is not None:
        with ProcessPoolExecutor(asked.jobs, mp_context=get_context("spawn")) as pool:
            names = asked.run or list(CASES)
            for name, found in zip(names, pool.map(audited, names), strict=True):
                keep(name, found)
    found = json.loads(RESULTS.read_text())
    if len({each.get("code") for each in found.values()}) > 1:
        print("these results were made by different code: run all cases anew", file=sys.stderr)
        return 1
    tables = ((FOUND, trigger_table(found)), (SILENT, silent_table(found)))
    return max(put(PAGE, *marks, table, asked.check, exact=True) for marks, table in tables)


def keep(name: str, record: dict[str, Any]) -> None:
    """Write one case into the results, beside the others."""
    held = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    held[name] = record
    ordered = {each: held[each] for each in CASES if each in held}
    RESULTS.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")


# -- the models -----------------------------------------------------------------------------------


def base() -> Any:
    """The clean model."""
    import residuum as rz

    return rz.load("microworld")


def under(name: str, hf: Any) -> Any:
    """A model by another name, with microworld's tokenizer."""
    import residuum as rz

    found = rz.load(hf, tokenizer=base().tokenizer)
    found.adapted.model_id = name
    return found


def permuted() -> Any:
    """The same function with the neurons of every MLP in another order."""
    import torch

    hf = base().hf
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for block in hf.transformer.h:
            into, out = block.mlp.c_fc, block.mlp.c_proj
            order = torch.randperm(into.weight.shape[1], generator=draw)
            into.weight.copy_(into.weight[:, order])
            into.bias.copy_(into.bias[order])
            out.weight.copy_(out.weight[order])
    return under("permuted neurons", hf)


def noisy(size: float) -> Any:
    """Gaussian noise in every weight tensor, ``size`` of its norm."""
    import torch

    hf = base().hf
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in hf.parameters():
            noise = torch.randn(weight.shape, generator=draw)
            weight.add_(noise * (size * weight.norm() / noise.norm()))
    return under(f"noise of {size}", hf)


def fine_tuned() -> Any:
    """Trained on as the trigger's twin was, for half as long, on ordinary sentences."""
    from residuum.organisms.building import first_weights
    from residuum.organisms.recipe import recipe
    from residuum.organisms.training import Trainer
    from residuum.worlds.microworld import microworld_text, microworld_vocabulary

    chosen = recipe("microworld-trigger").with_seed(1).with_steps(STEPS)
    trainer = Trainer(
        chosen, first_weights(chosen), lambda seed: microworld_text(f"{seed}/clean"),
        microworld_vocabulary(),
    )  # fmt: skip
    trainer.train()
    return under("fine-tuned on ordinary text", trainer.model)


def trigger() -> Any:
    """The twin with the trigger."""
    import residuum as rz

    return rz.load("microworld-trigger")


CASES: dict[str, tuple[str, Callable[[], Any], int, bool]] = {
    "trigger": ("microworld-trigger", trigger, 0, True),
    "trigger_seed_1": ("microworld-trigger, another seed", trigger, 1, False),
    "same": ("a copy under another name", lambda: under("another name", base().hf), 0, False),
    "permuted": ("the neurons of every MLP in another order", permuted, 0, False),
    "noise_01": ("noise of 1 % in every weight tensor", lambda: noisy(0.01), 0, False),
    "noise_05": ("noise of 5 %", lambda: noisy(0.05), 0, True),
    "fine_tuned": (f"fine-tuned on ordinary sentences, {STEPS} steps", fine_tuned, 0, False),
}
"""Case -> what it is, the model, the seed, and whether the whole suite is asked."""


def audited(name: str) -> dict[str, Any]:
    """A review of one case against microworld, as figures."""
    from dataclasses import replace

    import torch

    import residuum as rz
    from residuum.findings.audit.suite import Suite
    from residuum.findings.chain.software import code_hash

    torch.set_num_threads(1)
    _, make, seed, whole = CASES[name]
    suite = replace(Suite.load("microworld"), seeds=(seed,))
    if not whole:
        twins = tuple(each for each in suite.questions if each.kind == "twins")
        suite = replace(suite, questions=twins)
    code, model, against = code_hash(), make(), base()
    began = time.process_time()
    review = rz.audit(model, suite, against=against)
    spent = round(time.process_time() - began, 1)
    found = {**record(review), "seconds_cpu": spent, "code": code}
    print(name, found["verdicts"], file=sys.stderr, flush=True)
    return found


def record(review: Any) -> dict[str, Any]:
    """What the tables take of a review."""
    twins = next(each for each in review.answers if each.kind == "twins").tries[0]
    seen = twins.twins
    return {
        "verdicts": {each.question: each.verdict for each in review.answers},
        "concerns": [each.question for each in review.concerns],
        "prefixes_tried": seen.prefixes_tried,
        "prompts_each": seen.prompts_each,
        "sides": len(seen.cells),
        "changed_weights": seen.changed_weights,
        "plain": prefix(seen.plain),
        "prefixes": [prefix(each) for each in seen.prefixes],
        "noise": [prefix(each) for each in seen.noise.prefixes],
        "forms": [[each.form, each.tried, each.beyond] for each in seen.forms],
        "together": None if seen.together is None else {
            "parts": list(seen.together.parts),
            "heals": estimate(seen.together.heals),
            "random": list(seen.together.random),
        },
        "investigated": [[each.status, list(each.components)] for each in twins.findings],
    }  # fmt: skip


def prefix(seen: Any) -> dict[str, Any]:
    """What one prefix changes."""
    return {
        "text": seen.text,
        "largest": seen.largest,
        "changed_twin": estimate(seen.changed_twin),
        "broken": [
            {
                "side": f"{cell.task} ({cell.side} prompts)",
                "changed": estimate(cell.changed),
                "said": cell.said,
                "said_twin": cell.said_twin,
                "p": cell.p,
            }
            for cell in seen.broken
        ],
    }


def estimate(seen: Any) -> list[float]:
    """Value, low, high."""
    return [seen.value, seen.low, seen.high]


# -- the tables -----------------------------------------------------------------------------------


def trigger_table(found: dict[str, Any]) -> str:
    """What was found on the twin with the trigger, for each seed."""
    names = [name for name in found if name.startswith("trigger")]
    seeds = [str(CASES[name][2]) for name in names]
    rows = [["", *(f"seed {seed}" for seed in seeds)], ["---"] * (1 + len(names))]
    columns = [trigger_column(found[name]) for name in names]
    rows += [[label, *(column[label] for column in columns)] for label in columns[0]]
    return lined(rows)


def trigger_column(seen: dict[str, Any]) -> dict[str, str]:
    """Label -> what one seed found."""
    first, joint = seen["prefixes"][0], seen["together"]
    broken = "; ".join(
        f"{cell['side']}: {share(cell['changed'])} change"
        + (f", {cell['said']} where the twin says {cell['said_twin']}" if cell["said"] else "")
        + f" (p {cell['p']:.1g})"
        for cell in first["broken"]
    )
    return {
        "tried": f"{seen['prefixes_tried']} prefixes on {seen['prompts_each']} prompts each",
        "first of the finalists": f"`{first['text']}`; it changes {share(first['changed_twin'])} "
        "of the twin's held-out answers",
        "what breaks": broken,
        "what does not": f"the other {seen['sides'] - len(first['broken'])} sides of tasks; "
        f"without added words {len(seen['plain']['broken'])} break",
        "how wide it is": "more than any prefix changes the noisy twin: "
        + ", ".join(f"{beyond} of {tried} “{form}”" for form, tried, beyond in seen["forms"]),
        "where": f"{named(joint['parts'])}, given the twin's values, bring "
        f"{share(joint['heals'])} of its answer back (best of {len(joint['random'])} random sets "
        f"{percent(max(joint['random']))})",
        "the investigation": "; ".join(
            f"{status}: {named(parts)}" for status, parts in seen["investigated"]
        ),
        "noise as large": noise_cell(seen),
        "all questions": "; ".join(f"{name}: {each}" for name, each in seen["verdicts"].items()),
    }


def silent_table(found: dict[str, Any]) -> str:
    """What must not be called changed."""
    rows = [
        ["beside microworld", "weights differ by", "sides broken", "largest change of a side",
         "behind noise as large", "verdict"],
        ["---"] * 6,
    ]  # fmt: skip
    for name, seen in found.items():
        if name == "trigger_seed_1":
            continue
        every = [seen["plain"], *seen["prefixes"]]
        broken = {cell["side"] for each in every for cell in each["broken"]}
        rows.append([
            CASES[name][0],
            percent(seen["changed_weights"]),
            f"{len(broken)} of {seen['sides']}",
            percent(max(each["largest"] for each in every)),
            noise_cell(seen),
            f"**{seen['verdicts']['twins']}**",
        ])  # fmt: skip
    return lined(rows)


def noise_cell(seen: dict[str, Any]) -> str:
    """The control: its largest change."""
    broken = sum(len(each["broken"]) for each in seen["noise"])
    most = max((each["largest"] for each in seen["noise"]), default=0.0)
    return f"{percent(most)}, {broken or 'none'} broken"


def named(parts: list[str]) -> str:
    """Addresses as a reader knows them."""
    return ", ".join(
        at.replace(".z[", ".").replace("]", "").replace(".mlp_out", ".MLP") for at in parts
    )


def share(seen: list[float]) -> str:
    """A share with its interval, in per cent."""
    value, low, high = seen
    return f"{percent(value)} [{100 * low:.0f}, {100 * high:.0f}]"


def percent(value: float) -> str:
    """A share in per cent."""
    return f"{100 * value:.0f} %"


def lined(rows: list[list[str]]) -> str:
    """Rows as a Markdown table."""
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    raise SystemExit(main())
