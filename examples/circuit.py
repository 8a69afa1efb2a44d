"""Find a circuit, judge it, put it on trial, and name its parts, on prompts it was not found on.

python examples/circuit.py
"""

import residuum as rz

model = rz.load("microworld")
found_on, held_out = rz.template_halves(rz.task("ioi", model, n=64, seed=0))

# 1. Find: score every edge along the way from corrupt to clean, and keep sixty.
circuit = rz.discover(model, found_on, rz.EAPIG(steps=5), n_edges=60)
print(circuit)

# 2. Judge: what does it do alone, and what is left without it? It depends on what the rest carries.
scores = rz.evaluate(circuit, model, held_out, sizes=(0.01, 0.04, 0.2, 1.0), subsets=4)
low, high = scores.spread
print(f"\nFaithful {low:.2f} to {high:.2f}, on other templates than it was found on:")
for name, each in scores.by_reference.items():
    print(f"  {name:15} faithful {each.faithfulness()}, complete {each.completeness()}")

# 3. Try: as good as the model, and better than random circuits of its size?
trial = rz.trial(circuit, model, held_out, found_on=found_on, references=["counterfactual"])
print(f"\n{trial}")

# 4. Name: what do its parts do, on which evidence?
roles = rz.name_roles(circuit, model, held_out)
print(f"\n{roles}")
mover = max(roles.of("name mover"), key=lambda part: part.logits.value)
print(f"\n{mover}")
for line in mover.evidence:
    print(f"  {line}")

# 5. Keep: the file refuses another model, and an edit; the pictures open without a network.
circuit.save("ioi.circuit.json")
circuit.figure(
    {
        round(share * circuit.graph.n_edges): (each.value, each.low, each.high)
        for share, each in zip(
            scores.sizes, scores["counterfactual"].curve("absolute"), strict=True
        )
    }
).save("ioi.circuit.html")
roles.figure().save("ioi.roles.html")
assert rz.load_circuit("ioi.circuit.json", model) == circuit
print("\nwritten: ioi.circuit.json, ioi.circuit.html, ioi.roles.html")
