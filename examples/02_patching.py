"""Activation patching: which heads carry what the answer depends on?

python examples/02_patching.py
"""

import residuum as rz

model = rz.load("microworld")

# Contrast pairs: a clean prompt, and a corrupt one of the same length with another answer.
task = rz.task("ioi", model, n=32, seed=0)
print(task.describe())
print("clean:  ", model.to_string(task.clean[0, : task.lengths[0]]))
print("corrupt:", model.to_string(task.corrupt[0, : task.lengths[0]]))

# First: does the model do it at all?
print(task.evaluate(model).describe())

# Then: each head's clean value into the corrupt run, one at a time.
sweep = rz.patch(model, task, sites="z", by=("layer", "head"))
for cell in sweep.top(5):
    low, high = cell.interval
    effect = f"{cell.effect:+.2f} {sweep.unit} [{low:.2f}, {high:.2f}]"
    print(f"  {cell.at:9} moves the answer by {effect}, {100 * cell.recovered_frac:.0f} %")

sweep.figure().save("heads.html")  # also .svg, .png, .json
sweep.to_dataframe().to_csv("heads.csv", index=False)
print("written: heads.html, heads.csv")
