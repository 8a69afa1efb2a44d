"""Gemma Scope's two layouts, opened by SAELens's and circuit-tracer's own loaders.

No tool writes them: ``write`` makes files as Google published them (from random tensors, with NumPy
and safetensors alone), and what the loaders make of them is the truth. Runs in the peers'
environments, called by ``dictionary_formats_peer.py``. The hub is not asked: the loaders' downloads
are answered by local files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

D, N, LAYER = 24, 96, 2


def tensors(seed: int, skip: bool, b_dec: bool = True) -> dict[str, torch.Tensor]:
    made = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=made) * 0.3

    found = {
        "W_enc": draw(D, N), "W_dec": draw(N, D), "b_enc": draw(N),
        "b_dec": draw(D) * float(b_dec), "threshold": draw(N).abs(),
    }  # fmt: skip
    return found | ({"affine_skip_connection": draw(D, D)} if skip else {})


def write_first(folder: Path, given: dict[str, torch.Tensor]) -> None:
    folder.mkdir(parents=True)
    arrays: dict[str, Any] = {name: each.numpy() for name, each in given.items()}
    np.savez(folder / "params.npz", **arrays)


def write_second(folder: Path, given: dict[str, torch.Tensor], transcoder: bool) -> None:
    folder.mkdir(parents=True)
    save_file({n.lower(): each for n, each in given.items()}, folder / "params.safetensors")
    block = f"model.layers.{LAYER}"
    points = {"hf_hook_point_in": f"{block}.output"}
    if transcoder:
        points = {
            "hf_hook_point_in": f"{block}.pre_feedforward_layernorm.output",
            "hf_hook_point_out": f"{block}.post_feedforward_layernorm.output",
        }
    config = {
        "architecture": "jump_relu", "model_name": "gemma-v3-270m-pt", "width": N, "l0": 6,
        "affine_connection": "affine_skip_connection" in given, **points,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))


class Gemma:
    """One layout and one tool; ``open`` gives the tool's module for a folder."""

    first: bool
    cases: Mapping[str, dict[str, Any]]

    def write(self, folder: Path, x) -> list[str]:
        from dictionary_formats_peer import expect

        for seed, (case, kind) in enumerate(self.cases.items()):
            given = tensors(seed, kind.get("skip", False), kind.get("b_dec", True))
            place = folder / case
            if self.first:
                write_first(place, given)
            else:
                write_second(place, given, kind.get("transcoder", False))
            expect(folder, case, *self.read(folder, case, x))
        return list(self.cases)

    def read(self, folder: Path, case: str, x):
        coder = self.open(folder / case, case)
        return coder(x), coder.encode(x)

    def open(self, folder: Path, case: str):
        raise NotImplementedError


TRANSCODER: dict[str, dict[str, Any]] = {"transcoder": {"transcoder": True}}
SAE_CASES: dict[str, dict[str, Any]] = {"sae": {}, **TRANSCODER}
SKIP: dict[str, dict[str, Any]] = {"skip_transcoder": {"transcoder": True, "skip": True}}


class ThroughSAELens(Gemma):
    package = "sae-lens"

    def open(self, folder: Path, case: str):
        from sae_lens import SAE
        from sae_lens.loading import pretrained_sae_loaders as loaders

        transcoder = "transcoder" in case
        loaders.hf_hub_download = lambda *_, **given: str(folder / self._file(_, given))
        loaders.get_safetensors_tensor_shapes = lambda *_: {
            name: list(each.shape)
            for name, each in load_file(folder / "params.safetensors").items()
        }
        load, repository, inside, more = self._way(case, transcoder)
        config, state, _ = load(repository, inside, "cpu", cfg_overrides=more)
        return built(SAE, loaders.handle_config_defaulting(config), state)

    def _file(self, names: tuple, given: dict[str, Any]) -> str:
        return str(given.get("filename") or names[1]).rpartition("/")[2]

    def _way(self, case: str, transcoder: bool) -> tuple[Callable, str, str, dict[str, Any]]:
        from sae_lens.loading import pretrained_sae_loaders as loaders

        more, family = {"d_in": D, "d_sae": N}, "google/gemma-scope-2b-pt"
        if not self.first:
            kind = "transcoder" if transcoder else "resid_post"
            return loaders.gemma_3_sae_huggingface_loader, "google/gemma-scope-2-270m-pt", (
                f"{kind}/layer_{LAYER}_width_16k_l0_small"
            ), {}  # fmt: skip
        if transcoder:
            return loaders.gemma_2_transcoder_huggingface_loader, f"{family}-transcoders", (
                f"layer_{LAYER}/width_16k/average_l0_6"
            ), {**more, "d_out": D}  # fmt: skip
        inside = f"layer_{LAYER}/width_16k/average_l0_6"
        inside = "embedding/width_4k/average_l0_6" if "embedding" in case else inside
        return loaders.gemma_2_sae_huggingface_loader, f"{family}-res", inside, more


def built(kind: Any, config: dict[str, Any], state: dict[str, torch.Tensor]) -> Any:
    """What SAELens's ``from_pretrained`` does with what a loader gave."""
    own = kind.get_sae_config_class_for_architecture(config["architecture"]).from_dict(config)
    coder = kind.get_sae_class_for_architecture(own.architecture())(own)
    coder.process_state_dict_for_loading(state)
    coder.load_state_dict(state, assign=True)
    return coder.to("cpu")


class FirstThroughSAELens(ThroughSAELens):
    first = True
    # of an embedding's dictionary this loader leaves b_dec in other units than W_dec: none here
    cases = SAE_CASES | {"embedding": {"b_dec": False}}


class SecondThroughSAELens(ThroughSAELens):
    first = False
    cases = SAE_CASES | SKIP


class FirstThroughCircuitTracer(Gemma):
    package = "circuit-tracer"
    first = True
    cases = TRANSCODER

    def open(self, folder: Path, case: str):
        from circuit_tracer.transcoder.single_layer_transcoder import load_gemma_scope_transcoder

        return load_gemma_scope_transcoder(
            str(folder / "params.npz"), LAYER, device=torch.device("cpu")
        )


class SecondThroughCircuitTracer(Gemma):
    package = "circuit-tracer"
    first = False
    cases = TRANSCODER | SKIP

    def open(self, folder: Path, case: str):
        from circuit_tracer.transcoder.single_layer_transcoder import load_gemma_scope_2_transcoder

        return load_gemma_scope_2_transcoder(
            str(folder / "params.safetensors"), LAYER, device=torch.device("cpu")
        )


GEMMA = {
    "gemma_scope@saelens": FirstThroughSAELens,
    "gemma_scope_2@saelens": SecondThroughSAELens,
    "gemma_scope@circuit_tracer": FirstThroughCircuitTracer,
    "gemma_scope_2@circuit_tracer": SecondThroughCircuitTracer,
}
