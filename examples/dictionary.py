"""A sparse dictionary: train it on a model, judge it on other text, keep it, hang it on.

python examples/dictionary.py
"""

from itertools import islice

import residuum as rz
from residuum.worlds import microworld_text

model = rz.load("microworld")
train = list(islice(microworld_text(seed=0), 800))
other = list(islice(microworld_text(seed=1), 200))

training = rz.train_dictionary(
    model,
    at="L2.resid_post",
    text=train,
    n_latents=512,
    activation=rz.TopK(12),
    samples=100_000,
    batch_size=512,
    optimiser=rz.Adam(2e-3),
)
print(training)

scores = rz.evaluate_dictionary(training.dictionary, model, other)
print(f"L0 {scores.l0}, explained variance {scores.explained_variance}")
print(f"cross-entropy {scores.loss_model_nats} nats, with it {scores.loss_spliced_nats}")
print(f"recovered: {scores.loss_recovered_zero_frac} against zeros,")
print(f"           {scores.loss_recovered_mean_frac} against the mean")

training.save("my-dictionary")
training.figure().save("training.html")

# Hung on the model, its latents have addresses: here the strongest one at the last token, and the
# answer without it. What the dictionary does not explain stays as it is.
rz.load_dictionary("my-dictionary", model, name="mine", text=other)
prompt = "When Mary and John went to the store , John gave a coin to"
stream = model.run(prompt, capture=["L2.resid_post"])["L2.resid_post"][0, -1]
latents = model.dictionaries["mine"].encode(stream)
strongest = int(latents.argmax())
without = model.run(prompt, edits=[rz.Zero(f"L2.resid_post/mine[F{strongest}]@-1")])
mary = model.to_single_token("Mary")
for name, run in (("as it is", model.run(prompt)), (f"without latent {strongest}", without)):
    print(f"probability of Mary {name}: {float(run.last[0].softmax(-1)[mary]):.4f}")
