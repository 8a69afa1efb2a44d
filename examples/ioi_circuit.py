"""Who tells microworld who receives the coin? Sweep, knock out, follow the paths.

python examples/ioi_circuit.py
"""

import residuum as rz

model = rz.load("microworld")
pairs = rz.task("ioi", model, n=64, seed=0)
first, second = pairs.subset(range(32)), pairs.subset(range(32, 64))  # to choose, to measure
print(pairs.evaluate(model).describe())

# 1. Which heads carry the difference between the two prompts of a pair?
sweep = rz.patch(model, first, sites="z", by=("layer", "head"))
print(f"\nEvery head, clean into corrupt: {sweep.statistics()}")
for cell in sweep.top(5):
    low, high = cell.interval
    print(f"  {cell.at:8} {cell.effect:+6.2f} {sweep.unit} [{low:.2f}, {high:.2f}]  {cell.verdict}")
movers = [cell.at for cell in sweep.top(8) if cell.verdict == "shown" and cell.effect > 0.5]

# 2. Are they needed? Mean-ablated one by one and together, on pairs that did not choose them.
out = rz.knock_out(model, second, movers, how="mean", controls=20)
print(f"\nKnocked out on other pairs, where clean is {out.clean.mean():+.2f} {out.unit}:")
for row in out.to_dataframe().to_dict("records"):
    print(f"  {row['cell']:8} alone {row['alone']:+6.2f}, with those above {row['together']:+6.2f}")
low, high = out.backup_interval
print(f"  random sets move it by {out.control:.2f}; {out.rank} of {len(out.random_sets)} reach it")
print(f"  summed one by one {out.summed:+.2f}, backup {out.backup:+.2f} [{low:.2f}, {high:.2f}]")

# 3. Where does their word go? Straight to the answer, through the MLPs, or into later heads.
direct = rz.path_patch(model, second, movers, "logits")
through = rz.path_patch(model, second, movers, "logits", via="L*.mlp_out")
queries = rz.path_patch(model, second, movers, ["L1.q_in", "L2.q_in", "L3.q_in"])
print("\nPaths, clean into corrupt:")
for head in movers:
    later = abs(queries.effects.sel(sender=head)).max().item()
    print(
        f"  {head:8} to the logits: direct {direct.effect(head, 'logits'):+.2f}, "
        f"through MLPs {through.effect(head, 'logits'):+.2f}; a later query: "
        + ("none follows" if later != later else f"{later:.2f} at most")
    )

# 4. And what do these heads themselves read at their queries, keys, and values?
inputs = [head.replace(".z", f".{slot}_in") for head in movers for slot in "qkv"]
reads = rz.path_patch(model, second, "embed", inputs)
print("\nWhat the words themselves bring to these heads:")
for head in movers:
    parts = {slot: head.replace(".z", f".{slot}_in") for slot in "qkv"}
    told = ", ".join(f"{slot} {reads.effect('embed', at):+.2f}" for slot, at in parts.items())
    print(f"  {head:8} {told}")

# What this shows, and what it does not, said by the numbers.
share = -out.together / (out.clean.mean() - out.corrupt.mean())
brought = abs(reads.effects).sum().item()
values = sum(abs(reads.effect("embed", head.replace(".z", ".v_in"))) for head in movers)
straight = abs(direct.effects).sum().item() / abs(through.effects).sum().item()
print(f"""
{len(movers)} heads together cost {100 * share:.0f} % of the distance between clean and corrupt,
{out.rank} of {len(out.random_sets)} random sets of as many others cost as much (p {out.p:.2g}).
Of what the words bring them directly, {100 * values / brought:.0f} % arrives at their values.
Into the logits they send {100 * straight:.0f} % directly; the rest is made by MLPs on the way.
{"They stand in for each other: in sum, each alone costs less." if low > 0 else ""}
With {len(set(first.templates))} templates {sweep.statistics().count("undecided")} of \
{sweep.effects.size} heads stay undecided: that they play no part is not shown.
Other sentences, and what both prompts share, were not asked about.""")
out.figure().save("ioi_knock_out.html")
reads.figure().save("ioi_reads.html")
