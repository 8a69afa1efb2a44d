"""One side of ``dictionaries_vs_peers.py``, in its own environment: commands in, JSON out.

    python dictionaries_vs_peers_side.py SIDE FOLDER THREADS FUSED

SIDE is ``saelens``, ``saelens_sparse``, ``dictionary_learning``, ``sparsify``, or ``ours_for_X``
with X one of them: this project with the rules of X (decoder norms, centring, clipping). FOLDER
holds ``weights.safetensors``, ``data.safetensors`` and ``plan.json``. On standard input: ``step``,
``encode``, ``decode``, ``dense`` or ``quit``, each answered by one line.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import load_file

RULES = {
    # decoder rows at length 1, bias taken from the input, greatest norm of the gradient
    "saelens": (False, True, 1.0),
    "saelens_sparse": (False, True, 1.0),
    "dictionary_learning": (True, True, 1.0),
    "sparsify": (True, True, None),
}
EPS = 1e-12
"""Of Adam, at every side: sparsify divides its loss by the variance, and Adam's usual 1e-8 would
then not be small beside its gradients."""


class Ours:
    """What ``train_dictionary`` runs at each step."""

    package = "residuum"

    def __init__(self, like: str, plan: dict, weights: dict, fused: bool) -> None:
        from residuum.core import Address
        from residuum.dictionaries import Adam, CoderPlan, TopK
        from residuum.dictionaries.training.options import Schedule, TrainingOptions
        from residuum.dictionaries.training.state import TrainingState

        unit, centred, clip = RULES[like]
        at = (Address("L0.resid_post"),)
        own = CoderPlan(
            reads=at, width=plan["d"], n_latents=plan["latents"], activation=TopK(plan["k"]),
            unit_norm=unit, centred=centred, normalise=False,
        )  # fmt: skip
        options = TrainingOptions(
            Schedule(plan["steps"], 0, 0.0, 0), plan["batch"], clip=clip,
            optimiser=Adam(plan["lr"], eps=EPS), log_every=1, seed=0,
        )  # fmt: skip
        self.state = TrainingState("bench", own, options, at, torch.float32, "cpu")
        held = self.state.coder.state()
        for name in ("W_enc", "W_dec"):
            held[name].copy_(weights["W_enc"] if name == "W_enc" else weights["W_dec"])
        self.state.coder.restore(held)
        if like != "dictionary_learning":  # it alone begins at the geometric median
            self.state.step = 1
            if like == "sparsify":
                self.state.coder.parameters()["b_dec"].data.copy_(weights["mean"])

    def step(self, x) -> float:
        return self.state.advance(x[:, None])["mse"]

    def ready(self) -> None:
        self.dictionary = self.state.coder.dictionary()

    def encode(self, x):
        return self.dictionary.encode_sparse(x)

    def decode(self, latents):
        return self.dictionary.decode_sparse(latents)


class SAELens:
    package = "sae-lens"

    def __init__(self, like: str, plan: dict, weights: dict, fused: bool) -> None:
        from sae_lens.config import SAETrainerConfig
        from sae_lens.saes import TopKTrainingSAE, TopKTrainingSAEConfig
        from sae_lens.training.sae_trainer import SAETrainer

        config = TopKTrainingSAEConfig(
            d_in=plan["d"], d_sae=plan["latents"], k=plan["k"], apply_b_dec_to_input=True,
            rescale_acts_by_decoder_norm=False, use_sparse_activations=like == "saelens_sparse",
        )  # fmt: skip
        self.sae = TopKTrainingSAE(config)
        self.sae.W_enc.data.copy_(weights["W_enc"].T)
        self.sae.W_dec.data.copy_(weights["W_dec"])
        total = plan["steps"] * plan["batch"]
        how = SAETrainerConfig(total, plan["batch"], lr=plan["lr"], lr_end=plan["lr"])
        self.trainer = SAETrainer(how, self.sae, iter(()))
        self.trainer.optimizer = optimiser(self.sae.parameters(), plan, fused)
        self.trainer.lr_scheduler = torch.optim.lr_scheduler.ConstantLR(self.trainer.optimizer, 1.0)

    def step(self, x) -> float:
        found = self.trainer.step(x)
        self.trainer.n_training_steps += 1
        return float(found.losses["mse_loss"])

    def ready(self) -> None:
        self.sae.eval()

    def encode(self, x):
        return self.sae.encode(x)

    def decode(self, latents):
        return self.sae.decode(latents)


class DictionaryLearning:
    package = "dictionary-learning"

    def __init__(self, like: str, plan: dict, weights: dict, fused: bool) -> None:
        from dictionary_learning.trainers.top_k import TopKTrainer

        self.trainer = TopKTrainer(
            plan["steps"], plan["d"], plan["latents"], plan["k"], 0, "none", lr=plan["lr"],
            warmup_steps=0, seed=0, device="cpu",
        )  # fmt: skip
        self.ae, self.done = self.trainer.ae, 0
        self.ae.encoder.weight.data.copy_(weights["W_enc"])
        self.ae.decoder.weight.data.copy_(weights["W_dec"].T)
        self.trainer.optimizer = optimiser(self.ae.parameters(), plan, fused)
        self.trainer.scheduler = torch.optim.lr_scheduler.ConstantLR(self.trainer.optimizer, 1.0)

    def step(self, x) -> float:
        loss = self.trainer.update(self.done, x)
        self.done += 1
        return loss

    def ready(self) -> None:
        self.ae.eval()

    def encode(self, x):
        return self.ae.encode(x)

    def decode(self, latents):
        return self.ae.decode(latents)


class Sparsify:
    """Its trainer hangs on a whole model; these are the trainer's own calls of one step."""

    package = "eai-sparsify"

    def __init__(self, like: str, plan: dict, weights: dict, fused: bool) -> None:
        from sparsify.config import SparseCoderConfig
        from sparsify.sparse_coder import SparseCoder

        self.sae = SparseCoder(
            plan["d"], SparseCoderConfig(num_latents=plan["latents"], k=plan["k"])
        )
        self.sae.encoder.weight.data.copy_(weights["W_enc"])
        self.sae.W_dec.data.copy_(weights["W_dec"])
        self.sae.b_dec.data.copy_(weights["mean"])
        self.adam = optimiser(self.sae.parameters(), plan, fused)
        self.fired = torch.zeros(plan["latents"], dtype=torch.bool)

    def step(self, x) -> float:
        self.sae.set_decoder_norm_to_unit_norm()
        variance = (x - x.mean(0)).pow(2).sum()
        out = self.sae(x=x, y=x, dead_mask=None, total_variance=variance)
        self.fired[out.latent_indices.flatten()] = True
        out.fvu.backward()
        self.sae.remove_gradient_parallel_to_decoder_directions()
        self.adam.step()
        self.adam.zero_grad()
        return float(out.fvu.detach() * variance / len(x))

    def ready(self) -> None:
        self.sae.eval()

    def encode(self, x):
        return self.sae.encode(x)

    def decode(self, latents):
        return self.sae.decode(latents.top_acts, latents.top_indices)


def optimiser(parameters, plan: dict, fused: bool):
    """torch's Adam as the peers make it; ``fused``: one kernel, as this project makes it."""
    more = {"fused": True} if fused else {}
    return torch.optim.Adam(parameters, lr=plan["lr"], eps=EPS, **more)


SIDES = {
    "saelens": SAELens, "saelens_sparse": SAELens, "dictionary_learning": DictionaryLearning,
    "sparsify": Sparsify,
}  # fmt: skip


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    side, folder, threads, fused = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the packages print does not stand between the answers
    torch.set_num_threads(threads)
    plan = json.loads((folder / "plan.json").read_text())
    weights = load_file(folder / "weights.safetensors")
    data = load_file(folder / "data.safetensors")["data"]
    like = side.removeprefix("ours_for_")
    kind = Ours if side.startswith("ours_for_") else SIDES[like]
    before = peak_mb()
    own = kind(like, plan, weights, fused == "fused")
    done, latents = 0, None
    bias = torch.zeros(plan["latents"])
    print(
        json.dumps({"version": version(kind.package), "torch": torch.__version__}),
        file=out,
        flush=True,
    )
    for line in sys.stdin:
        task = line.strip()
        x = data[done % len(data)]
        if task in ("encode", "decode") and latents is None:
            own.ready()
        loss = None
        wall, cpu = time.perf_counter(), time.process_time()
        if task == "step":
            loss = own.step(x)
            done += 1
        elif task == "dense":
            torch.addmm(bias, x, weights["W_enc"].T)
        elif task == "quit":
            break
        else:
            with torch.no_grad():
                if task == "encode":
                    latents = own.encode(x)
                else:
                    own.decode(latents)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        said = {"wall": wall, "cpu": cpu, "loss": loss, "peak_mb": peak_mb(), "before_mb": before}
        print(json.dumps(said), file=out, flush=True)


if __name__ == "__main__":
    main()
