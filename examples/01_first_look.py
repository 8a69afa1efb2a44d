"""A first look into a model: what it says next, what flows inside, and what an edit changes.

python examples/01_first_look.py
"""

import residuum as rz

model = rz.load("microworld")  # inside the package; or a folder, a hub name, a model in memory
print(model)

prompt = "When Mary and John went to the store , John gave a drink to"
run = model.run(prompt, capture=["pattern", "resid_post"])
print("tokens with their ids:", list(zip(run.tokens[0], run.ids[0].tolist(), strict=True)))

best = run.last[0].softmax(-1).topk(3)
for probability, index in zip(best.values.tolist(), best.indices.tolist(), strict=True):
    print(f"  next word {model.to_str_tokens([index])[0]:8} {100 * probability:5.1f} %")

# Everything that was captured answers to its name: [batch, head, query, key].
print("attention of layer 0:", tuple(run["pattern", 0].shape))

# What each layer would say if the model stopped there.
lens = rz.logit_lens(model, prompt, top=1)
for layer, words in zip(lens.layers, lens.top_words, strict=True):
    print(f"  read after {layer:6} {words[-1][0]}")

# An edit is data: where, and what to write. `fired` says where it was written.
heads = [rz.Zero(f"L0.z[H{head}]") for head in range(model.n_heads)]
without = model.run(prompt, edits=heads)
print("without the heads of layer 0:", model.to_str_tokens(without.last.argmax(-1))[0])
print("edits that fired:", sum(without.fired.values()))
