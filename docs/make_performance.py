"""Write the measured tables of docs/performance.md from benchmarks/results/*.json.

python docs/make_performance.py [--check]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
PAGE = DOCS / "performance.md"
RESULTS = DOCS.parent / "benchmarks" / "results"
BEGIN = "<!-- measured table: begin; written by docs/make_performance.py -->"
END = "<!-- measured table: end -->"


def tables() -> str:
    """All measured tables, as Markdown."""
    parts = [_overhead(_read("run_overhead.json"))]
    if (RESULTS / "run_after.json").is_file():
        parts.append(_after(_read("run_after.json")))
    patching = RESULTS / "patching_vs_transformerlens.json"
    if patching.is_file():
        parts.append(_patching(json.loads(patching.read_text())))
    if (RESULTS / "run_patching_memory.json").is_file():
        parts.append(_memory(_read("run_patching_memory.json")))
    if (RESULTS / "circuits_vs_peers.json").is_file():
        parts.append(_edge_attribution(_read("circuits_vs_peers.json")))
    if (RESULTS / "run_circuits.json").is_file():
        parts.append(_circuits(_read("run_circuits.json")))
    if (RESULTS / "run_findings_scale.json").is_file():
        parts.append(_scale(_read("run_findings_scale.json")))
    if (RESULTS / "probe.json").is_file():
        parts.append(_probe(_read("probe.json")))
    if (RESULTS / "dictionaries_vs_peers.json").is_file():
        parts.append(_dictionaries(_read("dictionaries_vs_peers.json")))
    return "\n\n".join(parts)


def _read(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / name).read_text())


def _where(machine: dict[str, Any]) -> str:
    device = machine["cuda"] or f"{machine['cores']} CPU cores"
    return f"{device}, torch {machine['torch']}, transformers {machine['transformers']}"


def _overhead(found: dict[str, Any]) -> str:
    plain, full = found["nothing asked"], found["full capture"]
    rows = [("nothing asked, against the bare model", plain)]
    rows += [
        (f"residuals, `z` and patterns captured, {name}", full[name])
        for name in (
            "against output_attentions + output_hidden_states",
            "against TransformerLens run_with_cache",
        )
        if name in full
    ]
    lines = [
        f"`benchmarks/run_overhead.py` on {_where(found['machine'])}:",
        f"GPT-2-small shape, random weights, {found['prompts'][0]} prompts of "
        f"{found['prompts'][1]} tokens, medians of paired rounds.",
        "",
        "| time of a run | ratio | to reach |",
        "|---|---|---|",
    ]
    lines += [f"| {name} | {row['ratio']:.2f} | ≤ {row['reach']} |" for name, row in rows]
    same = "the same bits" if plain["bit_identical"] else "NOT the same bits"
    bound = full["our seconds"] / full["bare seconds + copies"]
    lines += [
        "",
        f"With nothing asked the logits are {same}. The full capture keeps "
        f"{full['captured_bytes'] / 1e6:.0f} MB and takes",
        f"{bound:.2f} times its lower bound: one bare pass and one copy of every captured byte.",
    ]
    return "\n".join(lines)


def _after(found: dict[str, Any]) -> str:
    lines = [
        f"`benchmarks/run_after.py` on {_where(found['machine'])}, threads: "
        f"{found['machine']['threads']};",
        f"the same shape, {found['prompts'][0]} prompt of {found['prompts'][1]} tokens; one edit,",
        "and `after=base` against a whole run in the same",
        "rounds. The bound is counted: the multiplications of the blocks that run and of the",
        "unembedding, which every run with logits makes at every token. A base with",
        f'`capture=["resid_pre"]` takes {found["base"]["ratio"]:.2f} times a plain run and keeps '
        f"{found['base']['kept_bytes'] / 1e6:.1f} MB.",
        "",
        "| asked; edit at block | share of a whole run's time | counted bound | `run.passes` |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {row['asked']}; {row['layer']} | {row['ratio']:.2f} | {row['counted']:.2f} "
        f"| {row['passes']:.2f} |"
        for row in found["rows"]
    ]
    same = all(row["bit_identical"] for row in found["rows"])
    lines += ["", f"Logits and streams are {'the same bits' if same else 'NOT the same bits'}."]
    return "\n".join(lines)


def _patching(found: dict[str, Any]) -> str:
    lines = [
        f"`benchmarks/patching_vs_transformerlens.py` on {_where(found['machine'])}:",
        f"the same shape, {found['pairs']} pairs of 15 tokens, against one patch for each",
        "forward pass in TransformerLens, in the same rounds. The bound is counted: what could be",
        "won if only the matrix products that a patch can change were computed; a share above",
        "100 % means that the peer's pass takes longer than its matrix products. Pairs that differ",
        "at position 0 are the worst case: nothing is shared.",
        "",
        "| sweep; first difference at | cells | passes | times faster | to reach | bound | share |",
        "|---|---|---|---|---|---|---|",
    ]
    gaps = []
    for name, row in found.items():
        if isinstance(row, dict) and "ratio" in row:
            reach = f"≥ {row['reach']:.0f}" if row["reach"] else "–"
            gaps.append(row["largest difference"])
            lines.append(
                f"| {name.replace(', differing at', ';')} | {row['cells']} | {row['passes']:.1f} "
                f"| {row['ratio']:.1f} | {reach} | {row['bound']:.1f} "
                f"| {row['ratio'] / row['bound']:.0%} |"
            )
    lines += ["", f"Largest difference of any effect compared: {max(gaps):.1e} logits."]
    return "\n".join(lines)


def _memory(found: dict[str, Any]) -> str:
    lines = [
        f"`benchmarks/run_patching_memory.py` on {_where(found['machine'])}: every head at",
        "every position of the same shape, 8 pairs of 32 tokens that differ at position 24; memory",
        "beyond the model, freed memory given back at once.",
        "",
        "| `max_memory` | measured peak | cells | seconds |",
        "|---|---|---|---|",
    ]
    for budget, row in found["budgets"].items():
        peak = f"{row['peak'] / 1e6:.0f} MB"
        lines.append(f"| {budget} | {peak} | {row['cells']} | {row['seconds']:.1f} |")
    return "\n".join(lines)


def _edge_attribution(found: dict[str, Any]) -> str:
    cases = {name: row for name, row in found.items() if name.startswith("all edges")}
    ig = next(key for row in cases.values() for key in row if key.startswith("EAP-IG"))
    steps = int(ig.split()[2])
    ours, theirs = (
        found["memory"][side]["MB beyond the loaded model"] for side in ("ours", "theirs")
    )
    lines = [
        f"`benchmarks/circuits_vs_peers.py` on {_where(found['machine'])}, threads: "
        f"{found['machine']['threads']}, load {found['load']:.0f}:",
        f"edge attribution (EAP) of the same shape, {found['pairs']} pairs of 15 tokens, against",
        "TransformerLens's own, the same scores. The processor's time is the measure. The bound is",
        "counted: multiplications that must be made, in passes without unembedding.",
        "",
        f"| edges; first difference at | times faster | to reach | bare runs in that time | bound "
        f"| EAP-IG, {steps} steps, times that | to reach | scores differ by |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in cases.items():
        lines.append(
            f"| {row['edges']:,}; {name.split()[-1]} | {row['ratio']:.1f} | ≥ {row['reach']:.0f} "
            f"| {row['forward passes of a bare run in that time']:.1f} "
            f"| {row['bound']['must be made']:.1f} | {row[ig]:.1f} | ≤ {steps + 1} "
            f"| {row['largest difference']:.0e} |"
        )
    lines += [
        "",
        f"Differences are relative to the largest score. Memory beyond the loaded model: "
        f"{ours:.0f} MB, there {theirs:.0f} MB.",
    ]
    return "\n".join(lines)


def _circuits(found: dict[str, Any]) -> str:
    edges, runs, each = found["exact edges"], found["circuits"], found["pass"]
    pairs, length, differ_at = found["prompts"]
    counted = edges["counted passes"] * each["without unembedding"] / edges["seconds"]
    elsewhere = "" if found["machine"]["cuda"] else "; on a GPU (to reach: ≤ 10) not measured"
    part = "all of them measured"
    if edges["measured"] < found["edges"]:
        part = f"{edges['measured']:,} drawn at random measured and scaled"
    return "\n".join(
        [
            f"`benchmarks/run_circuits.py` on {_where(found['machine'])}, threads: "
            f"{found['machine']['threads']}, load {found['load']:.0f}:",
            f"the same shape, {pairs} pairs of {length} tokens that differ at position "
            f"{differ_at}; processor's time.",
            "The bound is counted from multiplications that cannot be left out, in passes without",
            "unembedding; its share is what as many bare ones take of the time taken. A whole pass",
            "of so few tokens takes longer than that: more than the bound can be won.",
            "",
            "| exact effects of single edges | |",
            "|---|---|",
            f"| edges | {found['edges']:,}, {part} |",
            f"| processor seconds of all | {edges['seconds of all, scaled']:.0f} |",
            f"| times faster than one whole pass an edge | {edges['ratio']:.1f} |",
            f"| counted bound of that | {edges['bound']:.1f} |",
            f"| passes made, and counted as the least | {edges['passes']:.0f}, "
            f"{edges['counted passes']:.0f} |",
            f"| share of the bound | {counted:.0%} |",
            f"| largest difference from whole passes, logits "
            f"| {edges['largest difference']:.0e} ({edges['measured by whole passes']} edges) |",
            "",
            f"| {runs['circuits']} random circuits of {runs['edges of each']:,} edges in one call "
            "| |",
            "|---|---|",
            f"| times the price of one alone | {runs['times one alone']:.1f}{elsewhere} |",
            f"| bare runs for each | {runs['bare runs for each']:.2f} |",
            f"| passes for each, and counted as the least | {runs['passes for each']:.2f}, "
            f"{runs['counted passes for each']:.2f} |",
            f"| share of the bound | {runs['share of the bound']:.0%} |",
        ]
    )


def _scale(found: dict[str, Any]) -> str:
    random, wide = found["runs"]["random"], found["runs"]["widened"]
    spent = sum(each["cpu"] for each in wide["stages"])
    lines = [
        f"`benchmarks/run_findings_scale.py` on {_where(found['machine'])}, threads: "
        f"{found['threads']};",
        f"a whole finding at `quick` with {wide['pairs']} pairs, half of which choose: "
        f"{wide['weights'] / 1e6:.0f} million",
        "weights, microworld's own model widened into the shape of GPT-2 small. Time is that of "
        "the processor.",
        f"It came out *{wide['status']}*: {spent:.0f} s; the model takes {wide['model']:.0f} MB, "
        f"the peak is {wide['peak']:.0f} MB.",
        f"Random weights of the same shape show no behaviour (*{random['status']}*): "
        f"{sum(each['cpu'] for each in random['stages']):.0f} s.",
        "",
        "| stage | seconds | share | peak |",
        "|---|---|---|---|",
    ]
    for each in wide["stages"]:
        share = each["cpu"] / spent
        lines.append(
            f"| {each['name']} | {each['cpu']:.0f} | {share:.0%} | {each['peak']:.0f} MB |"
        )
    return "\n".join(lines)


def _probe(found: dict[str, Any]) -> str:
    lines = [
        f"`benchmarks/run_probe.py` on {_where(found['machine'])}, threads: {found['threads']}:",
        f"a probe of all twelve layers of the same shape, {found['n']} examples of "
        f"{found['tokens']} tokens, rounds: {len(found['rounds'])};",
        "the fits alone are timed on activations in memory. Other work ran on the machine: the",
        "processor's time is the measure.",
        "",
        "| processor's time | ratio |",
        "|---|---|",
    ]
    lines += [f"| {name} | {ratio:.2f} |" for name, ratio in found["ratios"]["cpu"].items()]
    lines += [
        "",
        "| examples | peak memory above the model and the examples | on disk |",
        "|---|---|---|",
    ]
    lines += [
        f"| {row['n']} | {row['peak_mb']:.0f} MB | {row['stored_mb']:.0f} MB |"
        for row in found["memory"].values()
    ]
    return "\n".join(lines)


def _dictionaries(found: dict[str, Any]) -> str:
    options = found["options"]
    lines = [
        f"`benchmarks/dictionaries_vs_peers.py` on {_where(found['machine'])}, threads: "
        f"{options['threads']}, load {found['load']:.0f}:",
        f"a TopK dictionary, d {options['d']}, {options['latents']:,} latents, k {options['k']}, "
        f"batch {options['batch']:,}, the same data, start and",
        f"{'fused ' if options['fused'] else ''}Adam on both sides, {options['rounds']} paired "
        "rounds. The bound is one dense encode: every",
        f"training step has to do that much; the reach is {found['over_dense']} of it. Other work "
        "ran on the machine: the",
        "processor's time is the measure. Above 1, this project is the faster one.",
        "",
        "| peer | training step | to reach | dense encodes a step, here (there) | encode | decode "
        "| peak memory, here (there) | losses differ by |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in found["rows"].items():
        step, reach = row["step"]["cpu"], found["reaches"].get(name)
        lines.append(
            f"| {name} {row['version']} | {step['ratio']:.2f} "
            f"| {f'≥ {reach}' if reach else '–'} "
            f"| {step['over_dense']:.2f} ({step['theirs_over_dense']:.2f}) "
            f"| {row['encode']['cpu']['ratio']:.2f} | {row['decode']['cpu']['ratio']:.2f} "
            f"| {row['peak_mb']['ours']:.0f} MB ({row['peak_mb']['theirs']:.0f} MB) "
            f"| {row['largest_relative_difference']:.0e} |"
        )
    return "\n".join([*lines, *_shortfalls(found)])


def _shortfalls(found: dict[str, Any]) -> list[str]:
    """What the table shows that was not reached, or is slower here, in words."""
    rows, reaches = found["rows"], found["reaches"]
    steps = {name: row["step"]["cpu"]["ratio"] for name, row in rows.items()}
    told = [
        f"The step falls short of its goal against {name}: {steps[name]:.2f} of {reaches[name]}."
        for name in rows
        if name in reaches and steps[name] < reaches[name]
    ]
    shipped = RESULTS / "dictionaries_vs_peers_as_shipped.json"
    if told and shipped.is_file():
        alone = _read(shipped.name)["rows"]
        told += [
            f"With the Adam that {name} switches on itself, not fused: "
            f"{row['step']['cpu']['ratio']:.2f}."
            for name, row in alone.items()
        ]
    return ["", *told] if told else []


def main() -> int:
    """Write the page, or with --check say by the exit code whether it is up to date."""
    text = PAGE.read_text()
    start, end = text.index("<!-- measured table: begin"), text.index(END)
    made = f"{text[:start]}{BEGIN}\n\n{tables()}\n\n{text[end:]}"
    if "--check" in sys.argv:
        return int(made != text)
    PAGE.write_text(made)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
