"""From a behaviour to a claim that someone else can check.

python examples/03_investigate.py
"""

import residuum as rz

model = rz.load("microworld")
finding = rz.investigate(model, "refusal", budget="quick", out="refusal-report")

print(f"{finding.status}: {finding.claim}")
for rule in finding.rules:
    print(f"  {rule.outcome:8} {rule.name}: {rule.found}")
print(finding.falsifier)

path = finding.save("refusal-report")  # finding.json, and report.html to read and to send
print("written:", path)

# Anyone with the file and the weights can run it again; a number that differs is an error.
again = rz.replay(path)
print(f"{again.numbers} numbers compared, {len(again.differences)} differ")
