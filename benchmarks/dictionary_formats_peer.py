"""The peers' side of ``dictionary_formats.py``, run in each peer's own environment.

    python dictionary_formats_peer.py NAME write|read FOLDER

``write`` makes files with the peer's own code, with random tensors, and the reconstructions of
``x.safetensors``; ``read`` opens the files of ``cases.json`` with the peer's own code. The last
line printed is JSON.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

import torch
from dictionary_formats_gemma import GEMMA
from safetensors.torch import load_file, save_file

D, N, K = 24, 96, 6


def shake(module, seed: int) -> None:
    """Random numbers in every tensor; thresholds above zero, counts left alone."""
    made = torch.Generator().manual_seed(seed)
    for name, each in [*module.named_parameters(), *module.named_buffers()]:
        if each.is_floating_point():
            new = torch.randn(each.shape, generator=made) * 0.3
            each.data.copy_(new.abs() if "threshold" in name else new)


def expect(folder: Path, case: str, out, latents) -> None:
    l0 = (latents != 0).sum(-1).double().mean()
    tensors = {"out": out.detach().float().contiguous(), "l0": l0.reshape(1)}
    save_file(tensors, folder / f"{case}.expected.safetensors")


class SAELens:
    package = "sae-lens"

    def write(self, folder: Path, x) -> list[str]:
        from sae_lens import saes
        from sae_lens.saes import transcoder as tr

        kinds = {
            "standard": (saes.StandardSAE, saes.StandardSAEConfig, {}),
            "standard_uncentred": (
                saes.StandardSAE, saes.StandardSAEConfig, {"apply_b_dec_to_input": False},
            ),
            "topk": (saes.TopKSAE, saes.TopKSAEConfig, {"k": K}),
            "topk_in_norms": (
                saes.TopKSAE, saes.TopKSAEConfig, {"k": K, "rescale_acts_by_decoder_norm": True},
            ),
            "jumprelu": (saes.JumpReLUSAE, saes.JumpReLUSAEConfig, {}),
            "gated": (saes.GatedSAE, saes.GatedSAEConfig, {}),
        }  # fmt: skip
        cross = {"d_out": D, "apply_b_dec_to_input": False}
        kinds |= {
            "transcoder": (tr.Transcoder, tr.TranscoderConfig, cross),
            "skip_transcoder": (tr.SkipTranscoder, tr.SkipTranscoderConfig, cross),
            "jumprelu_transcoder": (tr.JumpReLUTranscoder, tr.JumpReLUTranscoderConfig, cross),
            "jumprelu_skip_transcoder": (
                tr.JumpReLUSkipTranscoder, tr.JumpReLUSkipTranscoderConfig, cross,
            ),
        }  # fmt: skip
        for seed, (case, (kind, config, more)) in enumerate(kinds.items()):
            sae = kind(config(d_in=D, d_sae=N, **more))
            shake(sae, seed)
            sae.cfg.metadata["model_name"] = "gpt2"
            both = "transcoder" in case
            sae.cfg.metadata["hook_name"] = (
                "blocks.2.mlp.hook_in" if both else "blocks.2.hook_resid_post"
            )
            sae.cfg.metadata["hook_name_out"] = "blocks.2.hook_mlp_out"
            sae.save_model(folder / case)
            expect(folder, case, sae(x), sae.encode(x))
        return [*kinds, *self._trained(folder, x)]

    def _trained(self, folder: Path, x) -> list[str]:
        """Training checkpoints and the inference models made of them."""
        from sae_lens import saes

        found = []
        kinds = {
            "batchtopk": (saes.BatchTopKTrainingSAE, saes.BatchTopKTrainingSAEConfig, {}),
            "matryoshka": (
                saes.MatryoshkaBatchTopKTrainingSAE, saes.MatryoshkaBatchTopKTrainingSAEConfig,
                {"matryoshka_widths": [N // 4, N // 2, N]},
            ),
        }  # fmt: skip
        for seed, (case, (kind, config, more)) in enumerate(kinds.items()):
            sae = kind(config(d_in=D, d_sae=N, k=K, **more))
            shake(sae, 50 + seed)
            sae.topk_threshold.fill_(0.4)
            sae.cfg.metadata["hook_name"] = "blocks.2.hook_resid_post"
            sae.save_inference_model(folder / f"{case}_saved")
            sae.save_model(folder / f"{case}_checkpoint")
            inference = saes.SAE.load_from_disk(folder / f"{case}_saved")
            for end in ("saved", "checkpoint"):
                found.append(f"{case}_{end}")
                expect(folder, found[-1], inference(x), inference.encode(x))
        return found

    def read(self, folder: Path, case: str, x):
        from sae_lens import SAE

        sae = SAE.load_from_disk(folder / case)
        return sae(x), sae.encode(x)


class DictionaryLearning:
    package = "dictionary-learning"

    def _classes(self) -> dict:
        from dictionary_learning import dictionary as d
        from dictionary_learning.trainers.batch_top_k import BatchTopKSAE
        from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE
        from dictionary_learning.trainers.top_k import AutoEncoderTopK

        return {
            "AutoEncoder": (d.AutoEncoder, ()),
            "AutoEncoderNew": (d.AutoEncoderNew, ()),
            "GatedAutoEncoder": (d.GatedAutoEncoder, ()),
            "JumpReluAutoEncoder": (d.JumpReluAutoEncoder, ()),
            "AutoEncoderTopK": (AutoEncoderTopK, (K,)),
            "BatchTopKSAE": (BatchTopKSAE, (K,)),
            "MatryoshkaBatchTopKSAE": (MatryoshkaBatchTopKSAE, (K, [N // 4, N // 4, N // 2])),
        }

    def write(self, folder: Path, x) -> list[str]:
        kinds = self._classes()
        for seed, (case, (kind, more)) in enumerate(kinds.items()):
            coder = kind(D, N, *more)
            shake(coder, seed)
            (folder / case).mkdir()
            torch.save({k: v.cpu() for k, v in coder.state_dict().items()}, folder / case / "ae.pt")
            trainer = {"dict_class": case, "k": K if more else None, "layer": 2, "lm_name": "gpt2",
                       "activation_dim": D, "dict_size": N, "submodule_name": None}  # fmt: skip
            (folder / case / "config.json").write_text(json.dumps({"trainer": trainer}))
            expect(folder, case, coder(x), coder.encode(x))
        return list(kinds)

    def read(self, folder: Path, case: str, x):
        config = json.loads((folder / case / "config.json").read_text())["trainer"]
        kind = self._classes()[config["dict_class"]][0]
        more = {"k": config["k"]} if config["k"] else {}
        if config["dict_class"] == "AutoEncoder":
            more["normalize_decoder"] = False
        coder = kind.from_pretrained(str(folder / case / "ae.pt"), **more)
        return coder(x), coder.encode(x)


class Sparsify:
    package = "eai-sparsify"

    def write(self, folder: Path, x) -> list[str]:
        from sparsify.config import SparseCoderConfig
        from sparsify.sparse_coder import SparseCoder

        cases = {"sae": {}, "transcoder": {"transcode": True},
                 "skip_transcoder": {"transcode": True, "skip_connection": True}}  # fmt: skip
        for seed, (case, more) in enumerate(cases.items()):
            coder = SparseCoder(D, SparseCoderConfig(num_latents=N, k=K, **more))
            shake(coder, seed)
            coder.save_to_disk(folder / case)
            expect(folder, case, *self._run(coder, x))
        return list(cases)

    def read(self, folder: Path, case: str, x):
        from sparsify.sparse_coder import SparseCoder

        return self._run(SparseCoder.load_from_disk(folder / case), x)

    def _run(self, coder, x):
        found = coder(x)
        dense = torch.zeros(len(x), coder.num_latents)
        return found.sae_out, dense.scatter_(1, found.latent_indices, found.latent_acts)


class CircuitTracer:
    package = "circuit-tracer"

    def write(self, folder: Path, x) -> list[str]:
        from circuit_tracer.transcoder.activation_functions import JumpReLU
        from circuit_tracer.transcoder.single_layer_transcoder import SingleLayerTranscoder

        cases = {"relu": (False, False), "relu_skip": (False, True), "jumprelu": (True, False),
                 "jumprelu_skip": (True, True)}  # fmt: skip
        for seed, (case, (jumps, skip)) in enumerate(cases.items()):
            way = JumpReLU(torch.zeros(N), 0.1) if jumps else torch.nn.functional.relu
            coder = SingleLayerTranscoder(
                D, N, way, 2, skip_connection=skip, dtype=torch.float32, device=torch.device("cpu")
            )
            shake(coder, seed)
            (folder / case).mkdir()
            coder.to_safetensors(str(folder / case / "layer_2.safetensors"))
            config = {
                "model_kind": "transcoder_set",
                "model_name": "gpt2",
                "scan": "gpt2",
                "feature_input_hook": "mlp.hook_in",
                "feature_output_hook": "hook_mlp_out",
            }
            lines = [f"{name}: {value}" for name, value in config.items()]
            (folder / case / "config.yaml").write_text("\n".join(lines))
            expect(folder, case, coder(x), coder.encode(x))
        return list(cases)

    def read(self, folder: Path, case: str, x):
        import yaml
        from circuit_tracer.transcoder.single_layer_transcoder import load_relu_transcoder

        config = yaml.safe_load((folder / case / "config.yaml").read_text())
        assert config["feature_input_hook"] == "mlp.hook_in", config
        coder = load_relu_transcoder(
            str(folder / case / "layer_2.safetensors"), 2, dtype=torch.float32,
            device=torch.device("cpu"),
        )  # fmt: skip
        return coder(x), coder.encode(x)


def main() -> None:
    name, task, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    kinds = {"saelens": SAELens, "dictionary_learning": DictionaryLearning, "sparsify": Sparsify,
             "circuit_tracer": CircuitTracer}  # fmt: skip
    side = (kinds | GEMMA)[name]()
    x = load_file(folder / "x.safetensors")["x"]
    with torch.no_grad():
        if task == "write":
            cases = side.write(folder, x)
        else:
            cases = json.loads((folder / "cases.json").read_text())
            for case in cases:
                expect(folder, case, *side.read(folder, case, x))
    print(json.dumps({"cases": cases, "version": version(side.package)}))


if __name__ == "__main__":
    main()
