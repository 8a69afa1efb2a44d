"""Attribution graphs: train transcoders of microworld's MLPs, trace prompts, try the edges.

python examples/attribution_graph.py          # small, for a look
python examples/attribution_graph.py --full   # the figures of docs/howto/attribution-graphs.md
"""

import sys
import tempfile
from dataclasses import replace
from itertools import islice

import numpy as np
import torch

import residuum as rz
from residuum.circuits import attribution_graph
from residuum.dictionaries import Dictionary, ReLU
from residuum.worlds import microworld_text

full = "--full" in sys.argv
sentences, steps, batch, latents, prompts = (
    (6000, 1000, 1024, 512, 8) if full else (200, 50, 256, 256, 1)
)
model = rz.load("microworld")
layers = range(model.n_layers)
width = model.dims.d_model


def read_and_written(layer):
    """What a layer's MLP reads and writes."""
    return f"L{layer}.ln2", f"L{layer}.mlp_out"


def train():
    """One transcoder for each MLP, all on one stream; seeds 0."""
    text = list(islice(microworld_text("attribution/train"), sentences))
    sites = [site for layer in layers for site in read_and_written(layer)]
    plans = {
        str(layer): rz.CoderPlan(
            reads=read_and_written(layer)[:1], writes=read_and_written(layer)[1:], width=width,
            n_latents=latents, activation=rz.BatchTopK(12), aux_k=64, dead_after=100_000,
        )
        for layer in layers
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        stream = rz.harvest(model, text, sites, keep=folder, dtype="float32").source(seed=0)
        made = rz.train_dictionaries(
            stream, plans, steps=steps, batch_size=batch, optimiser=rz.Adam(2e-3), seed=0
        )
    return {layer: made[str(layer)].dictionary for layer in layers}


def shuffled(coder, seed):
    """The same latents, each writing what another one should: a control."""
    order = torch.randperm(coder.n_latents, generator=torch.Generator().manual_seed(seed))
    return replace(coder, W_dec=coder.W_dec[order])


def random(layer):
    """Random directions, half of them active at every token: another control."""
    made = torch.Generator().manual_seed(layer)
    draw = lambda *shape: torch.randn(*shape, generator=made) * 0.5  # noqa: E731
    reads, writes = read_and_written(layer)
    return Dictionary(
        reads, writes, W_enc=draw(1, width, 64), W_dec=draw(64, 1, width),
        b_dec=torch.zeros(1, width), activation=ReLU(), b_enc=draw(64),
    )  # fmt: skip


trained = train()
kinds = {
    "trained": trained,
    "decoders shuffled": {layer: shuffled(own, layer) for layer, own in trained.items()},
    "random, dense": {layer: random(layer) for layer in layers},
}
print("task       transcoders       replaced complete unexplained features (null) error logits  p")
for name in ("ioi", "agreement") if full else ("ioi",):
    task = rz.task(name, model, n=prompts, seed=0)
    for kind, transcoders in kinds.items():
        rows = []
        for i in range(prompts):
            right, wrong = int(task.answers[i].flatten()[0]), int(task.wrong[i].flatten()[0])
            ids = task.clean[i]
            ids = ids if task.attention_mask is None else ids[task.attention_mask[i].bool()]
            graph = attribution_graph(model, ids[None], transcoders, target={right: 1, wrong: -1})
            test = graph.test(model, transcoders, n_random=49 if full else 9)
            left = np.mean(list(graph.unexplained.values()))
            features, logits = test.of_features, test.of_logits
            rows.append([
                graph.scores.replacement, graph.scores.completeness, left, features.spearman,
                features.null_mean, features.error, logits.spearman, logits.p_value,
            ])  # fmt: skip
            if i == 0 and kind == "trained":
                graph.save(f"attribution_{name}.html")
                graph.write_json(f"attribution_{name}.json")
                first = f"{graph}\n{test}"
        found = np.mean(rows, 0)
        print(
            f"{name:10} {kind:17} {found[0]:8.2f} {found[1]:8.2f} {found[2]:11.0%} "
            f"{found[3]:8.2f} ({found[4]:+.2f}) {found[5]:4.2f} {found[6]:6.2f}  {found[7]:.2f}"
        )
    print(f"\n{first}\n")
