"""The promise of no silent failure, row by row: what is wrong raises, says what, and says the mend.

Beside each wrong call stands the right one, which passes: an error that is raised always would
not keep the promise either.
"""

from __future__ import annotations

import ast
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from law_worlds import IDS, WORDS, RandomCoder, blind, build, id_task, model, talker, word_tokenizer
from safetensors.torch import load_file, save_file

import residuum as rz
from residuum import (
    AddressError,
    EditError,
    EditNeverFired,
    LoadError,
    OptionError,
    ShapeError,
    SiteRefused,
    StoreError,
    TaskError,
    TokenError,
)
from residuum.core import ALIASES, SITES, edit_from_json, tensor_ref


@cache
def coded() -> rz.Model:
    """A tiny GPT-2 with a dictionary of 64 latents for vectors of 32."""
    made = rz.load(build("gpt2"), check=False)
    made.dictionaries["toy"] = RandomCoder(32, 64)
    return made


@cache
def world() -> rz.Model:
    return rz.load("microworld", check=False)


@cache
def sweep() -> rz.Sweep:
    return rz.patch(model(), id_task(), "resid_post", ("layer",))


def stored(value: Any) -> dict[str, Any]:
    ref = tensor_ref(value)
    return {ref.hash: ref.payload}


def without_tensors(folder: Path) -> Path:
    path = rz.save_edits([rz.Set("L0.z", 1.0)], folder / "edits.json")
    shutil.rmtree(folder / "edits.json.tensors")
    return path


def words_task(clean: str, corrupt: str) -> rz.Task:
    return rz.Task.from_pairs([rz.ContrastPair(clean, corrupt, ("on",), ("mat",))], talker())


def other_words_task() -> rz.Task:
    words = word_tokenizer([*WORDS[:4], *reversed(WORDS[4:])])
    other = rz.load(build("gpt2"), tokenizer=words, check=False)
    return rz.Task.from_pairs([rz.ContrastPair("the cat", "the dog", ("on",), ("mat",))], other)


def pairs_file(folder: Path, *columns: str) -> Path:
    path = folder / "pairs.csv"
    path.write_text(",".join(columns) + "\nthe cat ran,the dog ran,on\n")
    return path


def saved(folder: Path) -> Path:
    if not (folder / "model").exists():
        build("gpt2").save_pretrained(folder / "model")
    return folder / "model"


def empty(folder: Path) -> Path:
    (folder / "empty").mkdir(exist_ok=True)
    return folder / "empty"


def truncated(folder: Path) -> Path:
    path = Path(shutil.copytree(saved(folder), folder / "truncated", dirs_exist_ok=True))
    weights = path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    return path


def incomplete(folder: Path) -> Path:
    path = Path(shutil.copytree(saved(folder), folder / "incomplete", dirs_exist_ok=True))
    weights = load_file(path / "model.safetensors")
    del weights["transformer.h.1.mlp.c_fc.weight"]
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    return path


def pickled(folder: Path) -> Path:
    path = folder / "pickled"
    path.mkdir(exist_ok=True)
    hf = build("gpt2")
    hf.config.save_pretrained(path)
    torch.save(hf.state_dict(), path / "pytorch_model.bin")
    return path


@dataclass(frozen=True)
class Row:
    """A wrong call, the right one beside it, and what the wrong one says.

    ``{w}`` in a text is the row's folder; a text that ends in … is the beginning of one.
    """

    id: str
    wrong: Callable[[Path], Any]
    right: Callable[[Path], Any]
    error: type[rz.ResiduumError]
    what: str
    mend: str


ROWS = [
    # addresses
    Row(
        "unknown site",
        lambda w: model().run(IDS, capture="L0.resid_past"),
        lambda w: model().run(IDS, capture="L0.resid_post"),
        AddressError,
        "there is no site named 'resid_past'",
        f"sites are: {', '.join(SITES)}",
    ),
    Row(
        "unknown TransformerLens name",
        lambda w: model().run(IDS, capture="blocks.0.attn.hook_zz"),
        lambda w: model().run(IDS, capture="blocks.0.attn.hook_z"),
        AddressError,
        ("cannot read the address 'blocks.0.attn.hook_zz': no site has this TransformerLens name"),
        "write L{layer}.{name}, or blocks.{layer}.NAME with NAME one of: " + ", ".join(ALIASES),
    ),
    Row(
        "TransformerLens name of another tensor, of a norm",
        lambda w: model().run(IDS, capture="blocks.1.ln1.hook_normalized"),
        lambda w: model().run(IDS, capture="L1.ln1"),
        AddressError,
        "TransformerLens's 'blocks.1.ln1.hook_normalized' has no counterpart here",
        "L1.ln1 is after gain and bias; TransformerLens's hook_normalized is before",
    ),
    Row(
        "TransformerLens name of another tensor, of the unembedding",
        lambda w: model().run(IDS, edits=rz.Zero("unembed.hook_out")),
        lambda w: model().run(IDS, edits=rz.Zero("logits")),
        AddressError,
        "TransformerLens's 'unembed.hook_out' has no counterpart here",
        "logits is after the family's scaling and soft cap; TransformerLens's unembed.hook_out is "
        "before",
    ),
    Row(
        "name of a site without its layer, captured at several",
        lambda w: model().run(IDS, capture="z")["z"],
        lambda w: model().run(IDS, capture="z")["z", 1],
        AddressError,
        "z may mean 3 sites that were captured",
        'write run["z", layer], for one of: L0.z, L1.z, L2.z',
    ),
    Row(
        "another head than the one captured, without a layer",
        lambda w: model().run(IDS, capture="L0.z[H1]")["z[H2]"],
        lambda w: model().run(IDS, capture="L0.z[H1]")["z[H1]"],
        AddressError,
        "z[H2] was not captured",
        "ask for it: model.run(..., capture=['z']); there is: L0.z[H1]",
    ),
    Row(
        "address whose layer is given twice",
        lambda w: rz.Address("L2.z", 1),
        lambda w: rz.Address("L2.z"),
        AddressError,
        "the address 'L2.z' gives its layer or part twice",
        "write Address('L2.z') alone",
    ),
    Row(
        "text that is no address",
        lambda w: model().run(IDS, capture="layer 3, please"),
        lambda w: model().run(IDS, capture="L0.z[H1]@-1"),
        AddressError,
        "cannot read the address 'layer 3, please'",
        "write L{layer}.{name}[H{head}]@{position}, for example L9.z[H6]@-1",
    ),
    Row(
        "address of another type",
        lambda w: model().run(IDS, capture=[3]),
        lambda w: model().run(IDS, capture=[("z", 1)]),
        AddressError,
        "an address is text, got int",
        'write it as "L9.z[H6]"',
    ),
    Row(
        "layer out of range",
        lambda w: model().run(IDS, capture="L3.z"),
        lambda w: model().run(IDS, capture="L2.z"),
        AddressError,
        "layer 3 is out of range: the model has 3 layers",
        "use L0 to L2",
    ),
    Row(
        "layer of a site without layers",
        lambda w: model().run(IDS, capture="L0.logits"),
        lambda w: model().run(IDS, capture="logits"),
        AddressError,
        "logits is not a site of a layer",
        "write 'logits' alone",
    ),
    Row(
        "head out of range",
        lambda w: model().run(IDS, edits=rz.Zero("L0.z[H4]")),
        lambda w: model().run(IDS, edits=rz.Zero("L0.z[H3]")),
        AddressError,
        "head 4 is out of range: L0.z has 4",
        "use 0 to 3",
    ),
    Row(
        "key/value head out of range",
        lambda w: model("llama").run(IDS, edits=rz.Zero("L0.k[H2]")),
        lambda w: model("llama").run(IDS, edits=rz.Zero("L0.k[H1]")),
        AddressError,
        "head 2 is out of range: L0.k has 2",
        "use 0 to 1 (key/value heads)",
    ),
    Row(
        "neuron out of range",
        lambda w: model().run(IDS, edits=rz.Zero("L0.mlp_act[N128]")),
        lambda w: model().run(IDS, edits=rz.Zero("L0.mlp_act[N127]")),
        AddressError,
        "neuron 128 is out of range: L0.mlp_act has 128",
        "use 0 to 127",
    ),
    Row(
        "expert out of range",
        lambda w: model("mixtral").run(IDS, capture="L1.expert_out[E4]"),
        lambda w: model("mixtral").run(IDS, capture="L1.expert_out[E3]"),
        AddressError,
        "expert 4 is out of range: L1.expert_out has 4",
        "use 0 to 3",
    ),
    Row(
        "part of a site without parts",
        lambda w: model().run(IDS, edits=rz.Zero("L0.resid_post[H0]")),
        lambda w: model().run(IDS, edits=rz.Zero("L0.resid_post")),
        AddressError,
        "resid_post has no part [H0]",
        "address the whole site",
    ),
    Row(
        "part of another kind",
        lambda w: model().run(IDS, edits=rz.Zero("L0.z[N0]")),
        lambda w: model().run(IDS, edits=rz.Zero("L0.z[H0]")),
        AddressError,
        "z has no part [N0]",
        "index it as [H0]",
    ),
    Row(
        "position out of range",
        lambda w: model().run(IDS, edits=rz.Zero("L0.z@5")),
        lambda w: model().run(IDS, edits=rz.Zero("L0.z@4")),
        AddressError,
        "position 5 is out of range: the shortest prompt has 5 tokens",
        "use -5 to 4",
    ),
    Row(
        "position beyond the shortest prompt",
        lambda w: model().run([[4, 5, 6], [4, 5]], capture="L0.z@-3"),
        lambda w: model().run([[4, 5, 6], [4, 5]], capture="L0.z@-2"),
        AddressError,
        "position -3 is out of range: the shortest prompt has 2 tokens",
        "use -2 to 1",
    ),
    Row(
        "captured span without a token",
        lambda w: model().run(IDS, capture="L0.z@5:7"),
        lambda w: model().run(IDS, capture="L0.z@3:5"),
        AddressError,
        "positions 5:7 hold no token: the longest prompt has 5",
        "use positions from 0 to 4",
    ),
    Row(
        "span of unequal numbers of tokens",
        lambda w: model().run([[4, 5, 6], [4, 5]], capture="L0.z@1:"),
        lambda w: model().run([[4, 5, 6], [4, 5]], capture="L0.z@0:2"),
        AddressError,
        "the span covers different numbers of tokens in different prompts",
        "run prompts of equal length together, or address single positions",
    ),
    Row(
        "site that was not captured",
        lambda w: model().run(IDS, capture="L0.z")["L1.z"],
        lambda w: model().run(IDS, capture="L0.z")["L0.z"],
        AddressError,
        "L1.z was not captured",
        "ask for it: model.run(..., capture=['L1.z']); there is: L0.z",
    ),
    Row(
        "site captured in part",
        lambda w: model().run(IDS, capture="L0.z[H1]")["L0.z"],
        lambda w: model().run(IDS, capture="L0.z[H1]")["L0.z[H1]"],
        AddressError,
        "L0.z was not captured",
        "ask for it: model.run(..., capture=['L0.z']); there is: L0.z[H1]",
    ),
    Row(
        "logits of a run that stopped early",
        lambda w: model().run(IDS, capture="L0.z", logits=False).last,
        lambda w: model().run(IDS, capture="L0.z").last,
        AddressError,
        "this run stopped before the logits",
        "run with logits=True",
    ),
    Row(
        "site refused by the self-check",
        lambda w: blind().run(IDS, capture="L1.scores"),
        lambda w: blind().run(IDS, capture="L1.z"),
        SiteRefused,
        (
            "L1.scores is not available on this model: a random change of it does not "
            "reach the logits"
        ),
        "residuum doctor MODEL lists the sites that are",
    ),
    Row(
        "query over a site refused by the self-check",
        lambda w: blind().run(IDS, capture="scores"),
        lambda w: blind().run(IDS, capture="z"),
        SiteRefused,
        (
            "L0.scores is not available on this model: a random change of it does not "
            "reach the logits"
        ),
        "residuum doctor MODEL lists the sites that are",
    ),
    Row(
        "resid_mid of a parallel model",
        lambda w: model("gptj").run(IDS, capture="L0.resid_mid"),
        lambda w: model("gptj").run(IDS, capture="L0.resid_post"),
        AddressError,
        "this model has no site L0.resid_mid",
        (
            "its sites are: embed, resid_pre, ln1, q_in, k_in, v_in, q_pre, k_pre, q, k, "
            "v, scores, pattern, z, head_out, attn_out, mlp_in, mlp_pre, mlp_act, mlp_out, "
            "resid_post, ln_final, logits"
        ),
    ),
    Row(
        "weight of a layer out of range",
        lambda w: model().W_Q[3],
        lambda w: model().W_Q[2],
        AddressError,
        "layer 3 is out of range: the model has 3 layers",
        "use 0 to 2",
    ),
    Row(
        "weight indexed by a layer and a head",
        lambda w: model().W_Q[0, 1],
        lambda w: model().W_Q[0],
        AddressError,
        "model.W_Q is indexed by the number of a layer, got (0, 1)",
        "write model.W_Q[layer] for one layer's tensor, then its own axes; model.W_Q.stack() for "
        "all layers in one",
    ),
    Row(
        "weight indexed by a slice",
        lambda w: model().W_Q[:],
        lambda w: model().W_Q[-1],
        AddressError,
        "model.W_Q is indexed by the number of a layer, got slice(None, None, None)",
        "write model.W_Q[layer] for one layer's tensor, then its own axes; model.W_Q.stack() for "
        "all layers in one",
    ),
    Row(
        "weight indexed by a text",
        lambda w: model().W_Q["a"],
        lambda w: model().W_Q[torch.tensor(1)],
        AddressError,
        "model.W_Q is indexed by the number of a layer, got 'a'",
        "write model.W_Q[layer] for one layer's tensor, then its own axes; model.W_Q.stack() for "
        "all layers in one",
    ),
    Row(
        "weight that the family lacks",
        lambda w: model().W_gate[0],
        lambda w: model("llama").W_gate[0],
        AddressError,
        "block 0 has no W_gate",
        "this family stores no such weight there",
    ),
    # edits
    Row(
        "edit that never fires",
        lambda w: model().run(IDS, edits=rz.Zero("L0.z@7:9")),
        lambda w: model().run(IDS, edits=rz.Zero("L0.z@3:9")),
        EditNeverFired,
        "zero at L0.z@7:9 never fired",
        "the position lies outside the prompts, or the pass stopped before the site",
    ),
    Row(
        "edit that is none",
        lambda w: model().run(IDS, edits=["L0.z"]),
        lambda w: model().run(IDS, edits=[rz.Zero("L0.z")]),
        EditError,
        "'L0.z' is not an edit",
        "give edits such as rz.Zero('L2.z[H3]')",
    ),
    Row(
        "patch of the wrong shape",
        lambda w: model().run(IDS, edits=rz.Patch("L0.z", torch.ones(2, 4, 4, 8))),
        lambda w: model().run(IDS, edits=rz.Patch("L0.z", torch.ones(2, 5, 4, 8))),
        ShapeError,
        "patch got shape [2, 4, 4, 8], the site has [2, 5, 4, 8]",
        "give [2, 5, 4, 8], or trailing axes of it such as [8]",
    ),
    Row(
        "patch from a run of other length",
        lambda w: model().run(IDS, edits=rz.Patch("L0.z", model().run(IDS[:, :4], capture="L0.z"))),
        lambda w: model().run(IDS, edits=rz.Patch("L0.z", model().run(IDS + 1, capture="L0.z"))),
        ShapeError,
        "patch got shape [2, 4, 4, 8], the site has [2, 5, 4, 8]",
        "give [2, 5, 4, 8], or trailing axes of it such as [8]",
    ),
    Row(
        "add of the wrong shape",
        lambda w: model().run(IDS, edits=rz.Add("L0.resid_post", torch.ones(31))),
        lambda w: model().run(IDS, edits=rz.Add("L0.resid_post", torch.ones(32))),
        ShapeError,
        "add got shape [31], the site has [2, 5, 32]",
        "give [2, 5, 32], or trailing axes of it such as [32]",
    ),
    Row(
        "set of the wrong shape",
        lambda w: model().run(IDS, edits=rz.Set("L0.z[H1]", torch.ones(4, 8))),
        lambda w: model().run(IDS, edits=rz.Set("L0.z[H1]", torch.ones(8))),
        ShapeError,
        "set got shape [4, 8], the site has [2, 5, 8]",
        "give [2, 5, 8], or trailing axes of it such as [8]",
    ),
    Row(
        "erased direction of the wrong width",
        lambda w: model().run(IDS, edits=rz.Erase("L0.resid_post", torch.ones(8))),
        lambda w: model().run(IDS, edits=rz.Erase("L0.resid_post", torch.ones(32))),
        ShapeError,
        "erase got directions of shape [8], the site's vectors ask for [32]",
        "give directions of shape [32], or several rows of that",
    ),
    Row(
        "erased direction of length zero",
        lambda w: model().run(IDS, edits=rz.Erase("L0.resid_post", torch.zeros(32))),
        lambda w: model().run(IDS, edits=rz.Erase("L0.resid_post", torch.eye(32)[:2])),
        EditError,
        "erase: the direction is zero",
        "give one with a length",
    ),
    Row(
        "erasing matrix of the wrong shape",
        lambda w: model().run(IDS, edits=rz.Erase("L0.resid_post", matrix=torch.ones(32, 8))),
        lambda w: model().run(IDS, edits=rz.Erase("L0.resid_post", matrix=torch.eye(32))),
        ShapeError,
        "erase got matrix of shape [32, 8], the site's vectors ask for [32, 32]",
        "give matrix of shape [32, 32]",
    ),
    Row(
        "bias of the wrong shape",
        lambda w: model().run(
            IDS, edits=rz.Erase("L0.resid_post", matrix=torch.eye(32), bias=torch.ones(1))
        ),
        lambda w: model().run(
            IDS, edits=rz.Erase("L0.resid_post", matrix=torch.eye(32), bias=torch.ones(32))
        ),
        ShapeError,
        "erase got bias of shape [1], the site's vectors ask for [32]",
        "give bias of shape [32]",
    ),
    Row(
        "erase without direction or matrix",
        lambda w: rz.Erase("L0.resid_post"),
        lambda w: rz.Erase("L0.resid_post", torch.ones(32)),
        EditError,
        "erase at L0.resid_post needs either directions or a matrix",
        "give Erase(at, direction) or Erase(at, matrix=..., bias=...)",
    ),
    Row(
        "erase at a single number",
        lambda w: model().run(IDS, edits=rz.Erase("L0.mlp_act[N3]", torch.ones(5))),
        lambda w: model().run(IDS, edits=rz.Erase("L0.mlp_act", torch.ones(128))),
        EditError,
        "erase works on vectors, and L0.mlp_act[N3] is no site of vectors",
        "address the whole site, L0.mlp_act",
    ),
    Row(
        "NaN in a replacement",
        lambda w: rz.Patch("L0.z", torch.full((8,), float("nan"))),
        lambda w: rz.Patch("L0.z", torch.zeros(8)),
        ShapeError,
        "the value holds NaN or infinity",
        "look where it comes from; replacements must be finite numbers",
    ),
    Row(
        "infinity in a replacement",
        lambda w: rz.Add("L0.z", [1.0, float("inf")]),
        lambda w: rz.Add("L0.z", [1.0, 2.0]),
        ShapeError,
        "the value holds NaN or infinity",
        "look where it comes from; replacements must be finite numbers",
    ),
    Row(
        "replacement too large for the model's dtype",
        lambda w: model().run(IDS, edits=rz.Set("L0.z", torch.tensor(1e300, dtype=torch.float64))),
        lambda w: model().run(IDS, edits=rz.Set("L0.z", torch.tensor(1e3, dtype=torch.float64))),
        ShapeError,
        "set has numbers too large for torch.float32",
        "give smaller numbers, or load the model in a wider dtype",
    ),
    Row(
        "replacement that is no number",
        lambda w: rz.Set("L0.z", "seven"),
        lambda w: rz.Set("L0.z", 7),
        ShapeError,
        "not an array of numbers: got str",
        "give a tensor or array",
    ),
    Row(
        "replacement None",
        lambda w: rz.Patch("L0.z", None),
        lambda w: rz.Patch("L0.z", 0.0),
        EditError,
        "patch at L0.z has no value",
        "give a tensor, an array or a run",
    ),
    Row(
        "factor that is no number",
        lambda w: rz.Scale("L0.z", float("nan")),
        lambda w: rz.Scale("L0.z", 2),
        EditError,
        "scale at L0.z has factor nan",
        "give a finite number",
    ),
    Row(
        "patch of a query from a run",
        lambda w: rz.Patch("L*.z", model().run(IDS, capture="z")),
        lambda w: [rz.Patch(f"L{i}.z", model().run(IDS, capture="z")) for i in range(3)],
        AddressError,
        "L*.z may mean several sites, each with a value of its own",
        "make one edit for each, such as [rz.Patch(f'L{i}.z', run) for i in (0, 1)]",
    ),
    Row(
        "resample a batch of one",
        lambda w: model().run(IDS[:1], edits=rz.Resample("L0.z")),
        lambda w: model().run(IDS, edits=rz.Resample("L0.z")),
        EditError,
        "resample: there is only one prompt in the batch to resample from",
        "run several prompts together, or give reference rows as value=",
    ),
    Row(
        "resample ragged prompts",
        lambda w: model().run([[4, 5, 6], [4, 5]], edits=rz.Resample("L0.z")),
        lambda w: model().run([[4, 5, 6], [4, 5]], edits=rz.Resample("L0.z@-1")),
        EditError,
        "resampling all positions between prompts of different lengths misaligns them",
        "address single positions, or use prompts of equal length",
    ),
    Row(
        "resample rows of the wrong shape",
        lambda w: model().run(IDS, edits=rz.Resample("L0.resid_post", value=torch.ones(3, 32))),
        lambda w: model().run(IDS, edits=rz.Resample("L0.resid_post@1", value=torch.ones(3, 32))),
        ShapeError,
        "resample got rows of shape [3, 32], the site has [2, 5, 32]",
        "give reference rows [row, 5, 32]",
    ),
    Row(
        "resample within chunks",
        lambda w: model().run(IDS, edits=rz.Resample("L0.z"), batch_size=1),
        lambda w: model().run(IDS, edits=rz.Resample("L0.z"), batch_size=2),
        OptionError,
        "resampling within the batch needs the whole batch in one pass",
        "leave batch_size out, or give reference rows as value=",
    ),
    Row(
        "own input and norm together",
        lambda w: model().run(IDS, edits=[rz.Zero("L0.q_in"), rz.Zero("L0.ln1")]),
        lambda w: model().run(IDS, edits=[rz.Zero("L0.q_in"), rz.Zero("L1.ln1")]),
        EditError,
        "L0.q_in and L0.ln1 are taken together, which is ambiguous",
        "edit one of them: name its site, where a pattern such as * takes both",
    ),
    Row(
        "every site at once",
        lambda w: model().run(IDS, edits=[rz.Zero("*")]),
        lambda w: model().run(IDS, edits=[rz.Zero("resid_pre")]),
        EditError,
        "L0.k_in and L0.ln1 are taken together, which is ambiguous",
        "edit one of them: name its site, where a pattern such as * takes both",
    ),
    Row(
        "own input of the MLP and the shared norm together",
        lambda w: model("gptj").run(IDS, edits=[rz.Zero("L0.mlp_in"), rz.Zero("L0.ln1")]),
        lambda w: model().run(IDS, edits=[rz.Zero("L0.mlp_in"), rz.Zero("L0.ln1")]),
        EditError,
        "L0.mlp_in and L0.ln1 are taken together, which is ambiguous",
        "edit one of them: name its site, where a pattern such as * takes both",
    ),
    Row(
        "dictionary that is not loaded",
        lambda w: model().run(IDS, edits=rz.Splice("L1.resid_post", "sae")),
        lambda w: coded().run(IDS, edits=rz.Splice("L1.resid_post", "toy")),
        EditError,
        "no dictionary named 'sae' is loaded on this model",
        "hang it on with model.dictionaries[name] = coder",
    ),
    Row(
        "captured latents of no dictionary",
        lambda w: model().run(IDS, capture="L1.resid_post/sae[F3]"),
        lambda w: coded().run(IDS, capture="L1.resid_post/toy[F3]"),
        EditError,
        "no dictionary named 'sae' is loaded on this model",
        "hang it on with model.dictionaries[name] = coder",
    ),
    Row(
        "latent out of range",
        lambda w: coded().run(IDS, edits=rz.Zero("L1.resid_post/toy[F64]")),
        lambda w: coded().run(IDS, edits=rz.Zero("L1.resid_post/toy[F63]")),
        AddressError,
        "latent 64 is out of range: toy has 64",
        "use 0 to 63",
    ),
    Row(
        "dictionary on the wrong tensor",
        lambda w: coded().run(IDS, edits=rz.Splice("L1.mlp_act", "toy")),
        lambda w: coded().run(IDS, edits=rz.Splice("L1.mlp_out", "toy")),
        ShapeError,
        "the dictionary does not fit the site: …",
        "hang it on the site that it was trained on",
    ),
    Row(
        "edit of an unknown kind",
        lambda w: edit_from_json({"kind": "explode", "at": "L0.z"}),
        lambda w: edit_from_json({"kind": "zero", "at": "L0.z"}),
        EditError,
        "unknown kind of edit 'explode'",
        "kinds are: zero, mean, resample, patch, add, scale, set, erase, freeze, splice",
    ),
    Row(
        "edit with an unknown key",
        lambda w: edit_from_json({"kind": "zero", "at": "L0.z", "when": "now"}),
        lambda w: edit_from_json({"kind": "zero", "at": "L0.z"}),
        EditError,
        "zero edit cannot be read: unknown 'when'",
        "fields of zero are: at",
    ),
    Row(
        "edit without its place",
        lambda w: edit_from_json({"kind": "scale", "factor": 2.0}),
        lambda w: edit_from_json({"kind": "scale", "at": "L0.z", "factor": 2.0}),
        EditError,
        "scale edit cannot be read: no 'at'",
        "fields of scale are: at, factor",
    ),
    Row(
        "tensors of an edit not loaded",
        lambda w: model().run(IDS, edits=edit_from_json(rz.Set("L0.z", 1.0).to_json())),
        lambda w: model().run(
            IDS, edits=edit_from_json(rz.Set("L0.z", 1.0).to_json(), stored(1.0))
        ),
        StoreError,
        "the tensor df7472b00d75 of an edit is not loaded",
        "read the edits with the store they were saved with (tensors=...)",
    ),
    Row(
        "tensors of an edit not in the store",
        lambda w: rz.load_edits(without_tensors(w)),
        lambda w: rz.load_edits(rz.save_edits([rz.Set("L0.z", 1.0)], w / "good.json")),
        StoreError,
        "no tensor df7472b00d75 (float32[]) in the store",
        "copy the folder of tensors along with the file that refers to it",
    ),
    Row(
        "patch from a run of one token",
        lambda w: model().run(IDS, edits=rz.Patch("L0.z", model().run(IDS[:, :1], capture="L0.z"))),
        lambda w: model().run(IDS, edits=rz.Patch("L0.z", model().run(IDS[:1], capture="L0.z"))),
        ShapeError,
        "patch got shape [2, 1, 4, 8], the site has [2, 5, 4, 8]",
        "give [2, 5, 4, 8], or trailing axes of it such as [8]",
    ),
    Row(
        "seed that is no whole number",
        lambda w: rz.Resample("L0.z", seed=1.5),
        lambda w: rz.Resample("L0.z", seed=1),
        EditError,
        "resample at L0.z has seed 1.5",
        "give a whole number as the seed",
    ),
    Row(
        "keep_error that is neither true nor false",
        lambda w: rz.Splice("L0.z", "toy", keep_error="no"),
        lambda w: rz.Splice("L0.z", "toy", keep_error=False),
        EditError,
        "splice at L0.z has keep_error 'no'",
        "give True or False",
    ),
    # options
    Row(
        "unknown option of run",
        lambda w: model().run(IDS, cpature="L0.z"),
        lambda w: model().run(IDS, capture="L0.z"),
        OptionError,
        "unknown option cpature of run",
        "see help(model.run) for its options",
    ),
    Row(
        "unknown option of generate",
        lambda w: model().generate(IDS, 2, temprature=1.0),
        lambda w: model().generate(IDS, 2, temperature=1.0),
        OptionError,
        "unknown option temprature of generate",
        "see help(model.generate) for its options",
    ),
    Row(
        "unknown option of load",
        lambda w: rz.load(build("gpt2"), fold_ln=True),
        lambda w: rz.load(build("gpt2"), check=False),
        OptionError,
        "unknown option fold_ln",
        "load takes dtype, device_map, revision, tokenizer, allow_pickle, check",
    ),
    Row(
        "dtype of a model in memory",
        lambda w: rz.load(build("gpt2"), dtype=torch.float16),
        lambda w: rz.load(build("gpt2", torch.float64), check=False),
        OptionError,
        "dtype cannot be chosen for a model that is in memory already",
        "load it so in transformers, or give a name or folder here",
    ),
    Row(
        "unknown reduction",
        lambda w: rz.Capture("z", reduce="median"),
        lambda w: rz.Capture("z", reduce="mean"),
        OptionError,
        "unknown reduction 'median'",
        "one of: mean, mean_by_pos, second_moment, top_k",
    ),
    Row(
        "k without top_k",
        lambda w: rz.Capture("z", k=3),
        lambda w: rz.Capture("z", reduce="top_k", k=3),
        OptionError,
        "k is for reduce='top_k'",
        "leave k out, or ask for top_k",
    ),
    Row(
        "k of zero",
        lambda w: rz.Capture("z", reduce="top_k", k=0),
        lambda w: rz.Capture("z", reduce="top_k", k=1),
        OptionError,
        "k=0 is out of range",
        "give a whole number from 1",
    ),
    Row(
        "capture cast to integers",
        lambda w: model().run(IDS, capture="z", dtype=torch.int8),
        lambda w: model().run(IDS, capture="z", dtype=torch.float16),
        OptionError,
        "cannot cast a captured site to torch.int8",
        "give a floating dtype such as torch.float16",
    ),
    Row(
        "capture on a device that is not there",
        lambda w: rz.Capture("z", device="tape"),
        lambda w: rz.Capture("z", device="cpu"),
        OptionError,
        "cannot move a captured site to 'tape': …",
        'give a device that is there, such as "cpu"',
    ),
    Row(
        "capture options without capture",
        lambda w: model().run(IDS, dtype=torch.float16),
        lambda w: model().run(IDS, capture="z", dtype=torch.float16),
        OptionError,
        "dtype without capture",
        "say what to capture, or leave it out",
    ),
    Row(
        "one site captured in two ways",
        lambda w: model().run(IDS, capture=["z", rz.Capture("L0.z", reduce="mean")]),
        lambda w: model().run(IDS, capture=["z", "L0.z"]),
        OptionError,
        "L0.z is captured twice, in two ways",
        "ask for it once; make two runs for two forms of it",
    ),
    Row(
        "mean by position of padded prompts",
        lambda w: model().run([[4, 5, 6], [4, 5]], capture="z", reduce="mean_by_pos"),
        lambda w: model().run([[4, 5, 6], [4, 5]], capture="z", reduce="mean"),
        OptionError,
        "mean_by_pos is over prompts of one length, and these are padded",
        "run prompts of one length together, or reduce by mean",
    ),
    Row(
        "batches of no prompt",
        lambda w: model().run(IDS, batch_size=0),
        lambda w: model().run(IDS, batch_size=1),
        OptionError,
        "batch_size=0: it is a number of prompts, at least 1",
        "leave it out for one pass",
    ),
    Row(
        "run of nothing",
        lambda w: model().run(IDS, logits=False),
        lambda w: model().run(IDS, logits=False, capture="L0.z"),
        OptionError,
        "nothing was asked for",
        "capture a site, or leave logits=True",
    ),
    Row(
        "gradient without capture",
        lambda w: model().run(IDS, grad_of=torch.sum),
        lambda w: model().run(IDS, grad_of=torch.sum, capture="L0.z"),
        OptionError,
        "gradients need the logits and at least one captured site",
        "run with logits=True and capture=[...]",
    ),
    Row(
        "gradient of a metric without one",
        lambda w: model().run(IDS, grad_of=lambda logits: logits.argmax(-1), capture="L0.z"),
        lambda w: model().run(IDS, grad_of=lambda logits: logits.amax(-1), capture="L0.z"),
        OptionError,
        "grad_of must be a differentiable function of the logits",
        "give a callable that takes [batch pos d_vocab] and returns a tensor",
    ),
    Row(
        "gradient that was not asked for",
        lambda w: model().run(IDS, capture="L0.z").grad["L0.z"],
        lambda w: model().run(IDS, capture="L0.z", grad_of=torch.sum).grad["L0.z"],
        AddressError,
        "L0.z was not differentiated",
        "ask for it: model.run(..., grad_of=metric, capture=['L0.z']); there is: nothing",
    ),
    Row(
        "gradient in chunks",
        lambda w: model().run(IDS, capture="L0.z", grad_of=torch.sum, batch_size=1),
        lambda w: model().run(IDS, capture="L0.z", grad_of=torch.sum, batch_size=2),
        OptionError,
        "gradients are taken over one batch",
        "leave batch_size out",
    ),
    Row(
        "mask with a hole",
        lambda w: model().run(IDS, attention_mask=torch.tensor([[1, 1, 1, 1, 1], [1, 0, 1, 1, 1]])),
        lambda w: model().run(IDS, attention_mask=torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1]])),
        OptionError,
        "attention_mask must be one run of ones in each row",
        "pad on the left or on the right, not in the middle",
    ),
    Row(
        "mask of the wrong shape",
        lambda w: model().run(IDS, attention_mask=torch.ones(2, 4)),
        lambda w: model().run(IDS, attention_mask=torch.ones(2, 5)),
        OptionError,
        "attention_mask has shape [2, 4], the ids [2, 5]",
        "give one number for each id",
    ),
    Row(
        "mask with texts",
        lambda w: talker().run("the cat", attention_mask=torch.ones(1, 2)),
        lambda w: talker().run("the cat"),
        OptionError,
        "attention_mask goes with a tensor of ids",
        "give texts or id lists without a mask; they are padded for you",
    ),
    Row(
        "mask of other numbers",
        lambda w: model().run(IDS, attention_mask=torch.zeros(2, 5) - 1e9),
        lambda w: model().run(IDS, attention_mask=torch.ones(2, 5)),
        OptionError,
        "attention_mask is a tensor of ones (tokens) and zeros (padding)",
        "give one, [batch pos]; additive masks are made from it",
    ),
    Row(
        "gradient of what is no function",
        lambda w: model().run(IDS, capture="L0.z", grad_of=3),
        lambda w: model().run(IDS, capture="L0.z", grad_of=torch.sum),
        OptionError,
        "grad_of=3 is no function",
        "give a callable that takes [batch pos d_vocab] and returns a tensor",
    ),
    # generation
    Row(
        "freeze in generation",
        lambda w: model().generate(IDS, 2, edits=rz.Freeze("L0.z")),
        lambda w: model().generate(IDS, 2, edits=rz.Zero("L0.z")),
        OptionError,
        "freezing a site is not defined while generating",
        "capture it in a run and give the value: rz.Patch(site, run)",
    ),
    Row(
        "generation beyond the context",
        lambda w: model().generate(IDS, 60),
        lambda w: model().generate(IDS, 59),
        OptionError,
        "5 tokens of prompt and 60 new ones exceed the context 64",
        "ask for at most 59 new tokens",
    ),
    Row(
        "generation by an encoder",
        lambda w: model("bert").generate(IDS, 2),
        lambda w: model("bert").run(IDS),
        OptionError,
        "an encoder does not generate",
        "use run; generation needs a causal model",
    ),
    Row(
        "no new tokens",
        lambda w: model().generate(IDS, 0),
        lambda w: model().generate(IDS, 1),
        OptionError,
        "max_new_tokens=0: it is a number of tokens, at least 1",
        "give a positive whole number",
    ),
    Row(
        "temperature below zero",
        lambda w: model().generate(IDS, 1, temperature=-1.0),
        lambda w: model().generate(IDS, 1, temperature=0.5),
        OptionError,
        "temperature=-1.0 is out of range",
        "0 is greedy; 1 is the model's own",
    ),
    Row(
        "top_k of greedy generation",
        lambda w: model().generate(IDS, 1, top_k=3),
        lambda w: model().generate(IDS, 1, top_k=3, temperature=1.0),
        OptionError,
        "top_k has no meaning at temperature 0, which takes the most likely token",
        "give a temperature, or leave top_k out",
    ),
    Row(
        "top_k beyond the vocabulary",
        lambda w: model().generate(IDS, 1, top_k=102, temperature=1.0),
        lambda w: model().generate(IDS, 1, top_k=101, temperature=1.0),
        OptionError,
        "top_k=102 is out of range",
        "use 1 to 101",
    ),
    Row(
        "largest values in generation",
        lambda w: model().generate(IDS, 2, capture="z", reduce="top_k"),
        lambda w: model().generate(IDS, 2, capture="z", reduce="mean"),
        OptionError,
        "top_k is not kept while generating",
        "capture it in a run over the whole text",
    ),
    Row(
        "step captures that were not asked for",
        lambda w: model().generate(IDS, 2, capture="L0.z")["L1.z"],
        lambda w: model().generate(IDS, 2, capture="L0.z")["L0.z"],
        OptionError,
        "L1.z was not captured",
        "ask for it: capture=['L1.z']",
    ),
    # tokens
    Row(
        "word that is not a single token",
        lambda w: talker().to_single_token("the cat"),
        lambda w: talker().to_single_token("cat"),
        TokenError,
        "'the cat' is 2 tokens: 'the', 'cat'",
        "choose a single-token word (a leading space often makes it one)",
    ),
    Row(
        "unknown word",
        lambda w: talker().run("the cat flew"),
        lambda w: talker().run("the cat ran"),
        TokenError,
        "not in the vocabulary: 'flew'",
        "use words the model knows, or pass token ids",
    ),
    Row(
        "empty prompt",
        lambda w: talker().run(""),
        lambda w: talker().run("the"),
        TokenError,
        "the prompt is empty",
        "give at least one token; token ids may be BOS alone",
    ),
    Row(
        "no prompts",
        lambda w: model().run([]),
        lambda w: model().run([[4]]),
        TokenError,
        "the list of prompts is empty",
        "give at least one prompt",
    ),
    Row(
        "prompt longer than the context",
        lambda w: model().run(torch.full((1, 65), 4)),
        lambda w: model().run(torch.full((1, 64), 4)),
        TokenError,
        "the prompt has 65 tokens, the model's context 64",
        "shorten the prompt",
    ),
    Row(
        "id out of range",
        lambda w: model().run(torch.tensor([[4, 101]])),
        lambda w: model().run(torch.tensor([[4, 100]])),
        TokenError,
        "token id 101 is out of range",
        "ids go from 0 to 100; is this the model's own tokenizer?",
    ),
    Row(
        "id below zero",
        lambda w: model().run([[4, -1]]),
        lambda w: model().run([[4, 0]]),
        TokenError,
        "token id -1 is out of range",
        "ids go from 0 to 100; is this the model's own tokenizer?",
    ),
    Row(
        "float ids",
        lambda w: model().run(torch.tensor([[4.0, 5.0]])),
        lambda w: model().run(torch.tensor([[4, 5]])),
        TokenError,
        "token ids must be integers, got torch.float32",
        "give an integer tensor",
    ),
    Row(
        "prompt of another type",
        lambda w: model().run({"input_ids": [4]}),
        lambda w: model().run([4]),
        TokenError,
        "cannot run a prompt of type dict",
        "give a text, a list of texts, or an integer tensor [batch pos]",
    ),
    Row(
        "text for a model without tokenizer",
        lambda w: model().run("the cat"),
        lambda w: talker().run("the cat"),
        TokenError,
        "this model has no tokenizer",
        "give token ids, or load with tokenizer=...",
    ),
    Row(
        "tokenizer with more words than the model",
        lambda w: rz.load(build("gpt2"), tokenizer=word_tokenizer([*WORDS, *map(str, range(100))])),
        lambda w: rz.load(build("gpt2"), tokenizer=word_tokenizer(), check=False),
        TokenError,
        "the tokenizer has 112 tokens, the model's embedding 101",
        "give the tokenizer that belongs to this model (tokenizer=...)",
    ),
    Row(
        "id to track that is none",
        lambda w: rz.logit_lens(model(), [4, 5], track=[101]),
        lambda w: rz.logit_lens(model(), [4, 5], track=[100]),
        TokenError,
        "token id 101 cannot be tracked",
        "ids go from 0 to 100",
    ),
    Row(
        "float ids in lists",
        lambda w: model().run([[4.0, 5.0]]),
        lambda w: model().run([[4, 5]]),
        TokenError,
        "token ids must be integers, got [4.0, 5.0]",
        "give texts, or lists of ids, or an integer tensor [batch pos]",
    ),
    # tasks
    Row(
        "clean and corrupt of different lengths",
        lambda w: id_task(corrupt=torch.ones(4, 5, dtype=torch.long)),
        lambda w: id_task(corrupt=torch.ones(4, 6, dtype=torch.long)),
        TaskError,
        "clean has shape [4, 6], corrupt [4, 5]",
        "give both as [batch pos], aligned token by token",
    ),
    Row(
        "misaligned pairs in words",
        lambda w: words_task("the cat ran", "the dog sat ran"),
        lambda w: words_task("the cat ran", "the dog ran"),
        TaskError,
        "1 of 1 pairs do not fit: row 1: clean has 3 tokens, corrupt 4",
        "mend these rows: clean and corrupt differ, and have equally many tokens",
    ),
    Row(
        "clean equal to corrupt",
        lambda w: id_task(corrupt=torch.cat([id_task().corrupt[:3], id_task().clean[3:]])),
        lambda w: id_task(),
        TaskError,
        "1 of 4 pairs do not fit: row 4: clean and corrupt are the same",
        "mend these rows, or pass skip_misfits=True to drop and count them",
    ),
    Row(
        "answer that is also wrong",
        lambda w: id_task(wrong=torch.tensor([1, 3, 1, 3])),
        lambda w: id_task(wrong=torch.tensor([2, 3, 1, 3])),
        TaskError,
        "1 of 4 pairs do not fit: row 1: token 1 is both answer and wrong",
        "mend these rows, or pass skip_misfits=True to drop and count them",
    ),
    Row(
        "task without answers",
        lambda w: id_task(answers=None),
        lambda w: id_task(answers=torch.tensor([3, 1, 2, 2])),
        TaskError,
        "answers missing",
        "give ids for them beside clean=",
    ),
    Row(
        "task of float ids",
        lambda w: id_task(clean=torch.ones(4, 6)),
        lambda w: id_task(clean=torch.ones(4, 6, dtype=torch.long)),
        TaskError,
        "clean holds torch.float32",
        "give integer token ids",
    ),
    Row(
        "file of pairs without its columns",
        lambda w: rz.Task.from_pairs(pairs_file(w, "clean", "corrupted", "reply"), talker()),
        lambda w: rz.Task.from_pairs(pairs_file(w, "clean", "corrupt", "answers"), talker()),
        TaskError,
        "no column for answers among clean, corrupted, reply",
        'name it: columns={"answers": "..."}',
    ),
    Row(
        "unknown metric",
        lambda w: id_task(metric="perplexity"),
        lambda w: id_task(metric="prob"),
        OptionError,
        "no metric 'perplexity'",
        "one of: logit_diff, prob, prob_diff, kl_bits, accuracy, loss_nats",
    ),
    Row(
        "metric without the wrong answers it needs",
        lambda w: id_task(wrong=None, metric="logit_diff"),
        lambda w: id_task(wrong=None, metric="prob"),
        TaskError,
        "the metric 'logit_diff' compares with wrong answers, and some pairs have none",
        "give wrong=, or use prob, accuracy, loss_nats or kl_bits",
    ),
    Row(
        "task of another tokenizer",
        lambda w: rz.patch(talker(), other_words_task()),
        lambda w: rz.patch(talker(), words_task("the cat ran", "the dog ran"), by=("layer",)),
        TaskError,
        "the task's ids belong to another tokenizer than this model's",
        "make the task again from its words with this model",
    ),
    Row(
        "named task without a tokenizer",
        lambda w: rz.task("ioi", model()),
        lambda w: id_task(),
        TaskError,
        "a named task needs a tokenizer",
        "load with tokenizer=..., or use Task.from_pairs with ids",
    ),
    Row(
        "sweep of an address",
        lambda w: rz.patch(model(), id_task(), sites="L1.z", by=("layer",)),
        lambda w: rz.patch(model(), id_task(), sites="z", by=("layer",)),
        OptionError,
        "cannot sweep 'L1.z': a sweep takes a site that layers have, by name alone",
        "write it as 'z' or 'resid_post'; by says what to go through",
    ),
    Row(
        "sweep by an axis that the site lacks",
        lambda w: rz.patch(model(), id_task(), sites="resid_post", by=("layer", "head")),
        lambda w: rz.patch(model(), id_task(), sites="hook_resid_post", by="layer"),
        OptionError,
        "cannot sweep resid_post by ('layer', 'head')",
        "by starts with layer and may hold: layer, pos",
    ),
    Row(
        "sweep of a metric without direction",
        lambda w: rz.patch(model(), id_task(), by=("layer",), metric="kl_bits"),
        lambda w: rz.patch(model(), id_task(), by=("layer",), metric="prob"),
        OptionError,
        "kl_bits has no sign towards clean",
        "use one of: logit_diff, prob, prob_diff, accuracy, loss_nats",
    ),
    Row(
        "sweep in no direction",
        lambda w: rz.patch(model(), id_task(), by=("layer",), direction="sideways"),
        lambda w: rz.patch(model(), id_task(), by=("layer",), direction="noise"),
        OptionError,
        "unknown direction 'sideways'",
        "use 'denoise' or 'noise'",
    ),
    Row(
        "sweep by position of ragged prompts",
        lambda w: rz.patch(model(), id_task(lengths=[6, 5, 6, 6]), "resid_post", ("layer", "pos")),
        lambda w: rz.patch(model(), id_task(lengths=[6, 5, 6, 6]), "resid_post", ("layer",)),
        TaskError,
        "the prompts have different lengths, so positions do not line up",
        "sweep prompts of one length, or leave pos out of by",
    ),
    Row(
        "lens over several prompts",
        lambda w: rz.logit_lens(model(), IDS),
        lambda w: rz.logit_lens(model(), IDS[:1]),
        OptionError,
        "the lens reads one prompt at a time",
        "give a single prompt",
    ),
    Row(
        "lens of no tokens",
        lambda w: rz.logit_lens(model(), IDS[:1], top=0),
        lambda w: rz.logit_lens(model(), IDS[:1], top=1),
        OptionError,
        "top=0 is out of range",
        "use 1 to 101",
    ),
    Row(
        "unknown engine of a sweep",
        lambda w: rz.patch(model(), id_task(), by=("layer",), engine="warp"),
        lambda w: rz.patch(model(), id_task(), by=("layer",), engine="naive"),
        OptionError,
        "unknown engine 'warp'",
        "use 'auto', 'forked' or 'naive'",
    ),
    Row(
        "query of a sweep",
        lambda w: rz.patch(model(), id_task(), sites="resid_*", by=("layer",)),
        lambda w: rz.patch(model(), id_task(), sites="resid_mid", by=("layer",)),
        OptionError,
        "cannot sweep 'resid_*': a sweep takes a site that layers have, by name alone",
        "write it as 'z' or 'resid_post'; by says what to go through",
    ),
    # files
    Row(
        "no such folder",
        lambda w: rz.load(str(w / "nowhere")),
        lambda w: rz.load(str(saved(w)), check=False),
        LoadError,
        "no model folder at {w}/nowhere",
        "give a folder with config.json",
    ),
    Row(
        "folder without a model",
        lambda w: rz.load(str(empty(w))),
        lambda w: rz.load(str(saved(w)), check=False),
        LoadError,
        "{w}/empty holds no model",
        "give a folder with config.json and weights",
    ),
    Row(
        "object that is not a model",
        lambda w: rz.load(torch.nn.Linear(2, 2)),
        lambda w: rz.load(build("gpt2"), check=False),
        LoadError,
        "cannot load a Linear",
        "give a name, a folder, or a transformers PreTrainedModel",
    ),
    Row(
        "truncated checkpoint",
        lambda w: rz.load(str(truncated(w))),
        lambda w: rz.load(str(saved(w)), check=False),
        LoadError,
        "the weights of {w}/truncated are damaged, truncated or not safetensors: …",
        "download or copy the checkpoint again; pickles need allow_pickle=True",
    ),
    Row(
        "checkpoint with missing weights",
        lambda w: rz.load(str(incomplete(w))),
        lambda w: rz.load(str(saved(w)), check=False),
        LoadError,
        (
            "the checkpoint of {w}/incomplete lacks weights the model needs: "
            "transformer.h.1.mlp.c_fc.weight (1 in all)"
        ),
        "use a complete checkpoint; missing weights would be random numbers",
    ),
    Row(
        "pickle checkpoint",
        lambda w: rz.load(str(pickled(w))),
        lambda w: rz.load(str(pickled(w)), allow_pickle=True, check=False),
        LoadError,
        ("{w}/pickled stores its weights as a pickle (pytorch_model.bin), which can run code"),
        "convert it to safetensors, or pass allow_pickle=True if you trust it",
    ),
    Row(
        "sweep saved under an unknown suffix",
        lambda w: sweep().save(w / "sweep.xlsx"),
        lambda w: sweep().save(w / "sweep.csv"),
        OptionError,
        "cannot save a sweep as '.xlsx'",
        "use .json, .csv, .html, .svg or .png",
    ),
    # plain arguments
    Row(
        "sweep of no task",
        lambda w: rz.patch(model(), "ioi"),
        lambda w: rz.patch(model(), id_task(), "resid_post", "layer"),
        TaskError,
        "patch needs a task, got 'ioi'",
        "make it first: task = rz.task(name, model), or rz.Task.from_pairs(...)",
    ),
    Row(
        "sweep of no model",
        lambda w: rz.patch("microworld", id_task()),
        lambda w: rz.patch(model(), id_task(), "resid_post", "layer"),
        OptionError,
        "patch needs a loaded model, got 'microworld'",
        "load it first: model = rz.load(...)",
    ),
    Row(
        "sweep by nothing",
        lambda w: rz.patch(model(), id_task(), by=None),
        lambda w: rz.patch(model(), id_task(), by="layer"),
        OptionError,
        "cannot sweep by None",
        "give names of axes, such as by=('layer', 'head')",
    ),
    Row(
        "unknown option of a sweep",
        lambda w: rz.patch(model(), id_task(), by="layer", seed=3),
        lambda w: rz.patch(model(), id_task(), by="layer"),
        OptionError,
        "unknown option seed of patch",
        "its options are: sites, by, direction, method, only, engine, metric, control, jobs, keep, "
        "max_memory, progress",
    ),
    Row(
        "named task of no model",
        lambda w: rz.task("ioi", "microworld"),
        lambda w: rz.task("ioi", world(), n=1),
        OptionError,
        "task needs a loaded model, got 'microworld'",
        "load it first: model = rz.load(...)",
    ),
    Row(
        "task of pairs that are no number",
        lambda w: rz.task("ioi", world(), n="4"),
        lambda w: rz.task("ioi", world(), n=4),
        OptionError,
        "n='4' is out of range",
        "give a whole number, 1 or more",
    ),
    Row(
        "task of a seed that is no number",
        lambda w: rz.task("ioi", world(), n=1, seed="a"),
        lambda w: rz.task("ioi", world(), n=1, seed=3),
        OptionError,
        "seed='a' is out of range",
        "give a whole number, 0 or more",
    ),
    Row(
        "names of tasks of no model",
        lambda w: rz.task_names(None),
        lambda w: rz.task_names(model()),
        OptionError,
        "task_names needs a loaded model, got None",
        "load it first: model = rz.load(...)",
    ),
    Row(
        "behaviour of no model",
        lambda w: id_task().evaluate(None),
        lambda w: id_task().evaluate(model()),
        OptionError,
        "evaluate needs a loaded model, got None",
        "load it first: model = rz.load(...)",
    ),
    Row(
        "rows of a task that are no numbers",
        lambda w: id_task().subset("a"),
        lambda w: id_task().subset([0]),
        TaskError,
        "rows are whole numbers, got 'a'",
        "give a list of indices, or a slice",
    ),
    Row(
        "lens of no model",
        lambda w: rz.logit_lens("microworld", [4, 5]),
        lambda w: rz.logit_lens(model(), [4, 5], track=None),
        OptionError,
        "logit_lens needs a loaded model, got 'microworld'",
        "load it first: model = rz.load(...)",
    ),
    Row(
        "unknown option of the lens",
        lambda w: rz.logit_lens(model(), [4, 5], topk=3),
        lambda w: rz.logit_lens(model(), [4, 5], top=3),
        OptionError,
        "unknown option topk of logit_lens",
        "its options are: site, top, track",
    ),
    Row(
        "task of a number",
        lambda w: rz.Task.from_pairs(3, talker()),
        lambda w: words_task("the cat ran", "the dog ran"),
        TaskError,
        "pairs are a file or a list of contrast pairs, got 3",
        "give a path, or a list of rz.ContrastPair(clean, corrupt, answers, wrong)",
    ),
    Row(
        "task of plain dictionaries",
        lambda w: rz.Task.from_pairs([{"clean": "the cat"}], talker()),
        lambda w: words_task("the cat ran", "the dog ran"),
        TaskError,
        "pairs are a file or a list of contrast pairs, got [{'clean': 'the cat'}]",
        "give a path, or a list of rz.ContrastPair(clean, corrupt, answers, wrong)",
    ),
    Row(
        "pair whose answers are one text",
        lambda w: rz.Task.from_pairs(
            [rz.ContrastPair("the cat", "the dog", "on", "mat")], talker()
        ),
        lambda w: words_task("the cat", "the dog"),
        TaskError,
        "1 of 1 pairs do not fit: row 1: a pair is two texts with words as answers",
        "give rz.ContrastPair(clean, corrupt, answers, wrong): two texts, tuples of words",
    ),
    Row(
        "pairs for no model",
        lambda w: rz.Task.from_pairs(pairs_file(w, "clean", "corrupt", "answers"), "microworld"),
        lambda w: rz.Task.from_pairs(pairs_file(w, "clean", "corrupt", "answers"), talker()),
        OptionError,
        "Task.from_pairs needs a loaded model, got 'microworld'",
        "load it first: model = rz.load(...)",
    ),
    Row(
        "columns that are one text",
        lambda w: rz.Task.from_pairs(
            pairs_file(w, "x", "corrupt", "answers"), talker(), columns="x"
        ),
        lambda w: rz.Task.from_pairs(
            pairs_file(w, "x", "corrupt", "answers"), talker(), columns={"clean": "x"}
        ),
        TaskError,
        "columns= maps parts of a pair to columns, got 'x'",
        'write it as columns={"clean": "its column"}',
    ),
    Row(
        "position that is no number",
        lambda w: id_task(positions={"x": "a"}),
        lambda w: id_task(positions={"x": 1}),
        TaskError,
        "x is no table of ids: new(): invalid data type 'str'",
        "give an integer tensor, rows of one length",
    ),
    Row(
        "answer outside the vocabulary",
        lambda w: rz.Task.from_pairs(
            None, model(), clean=[[5, 6]], corrupt=[[5, 7]], answers=[99999], wrong=[9]
        ),
        lambda w: rz.Task.from_pairs(
            None, model(), clean=[[5, 6]], corrupt=[[5, 7]], answers=[100], wrong=[9]
        ),
        TaskError,
        "1 of 1 pairs do not fit: row 1: token id 99999 is outside the vocabulary of 101",
        "give ids of this model's own vocabulary, below its d_vocab",
    ),
    Row(
        "word that is no text",
        lambda w: talker().to_single_token(3),
        lambda w: talker().to_single_token("cat"),
        TokenError,
        "a word is text, got 3",
        "give a text",
    ),
    Row(
        "tokens of nothing",
        lambda w: talker().to_str_tokens(None),
        lambda w: talker().to_str_tokens([4]),
        TokenError,
        "cannot read None as text or token ids",
        "give a text, or a row of ids",
    ),
    Row(
        "seed of a generation that is no number",
        lambda w: model().generate(IDS, 1, temperature=1, seed="x"),
        lambda w: model().generate(IDS, 1, temperature=1, seed=3, edits=None, capture=None),
        OptionError,
        "seed='x' is out of range",
        "give a whole number, 0 or more",
    ),
    Row(
        "BOS neither wanted nor refused",
        lambda w: talker().run("the", prepend_bos="yes"),
        lambda w: talker().run("the", prepend_bos=False),
        OptionError,
        "prepend_bos='yes' is no switch",
        "give True, False or None",
    ),
    Row(
        "logits neither wanted nor refused",
        lambda w: model().run(IDS, capture="L0.z", logits="no"),
        lambda w: model().run(IDS, capture="L0.z", logits=False),
        OptionError,
        "logits='no' is no switch",
        "give True or False",
    ),
    Row(
        "check neither wanted nor refused",
        lambda w: rz.load(build("gpt2"), check="no"),
        lambda w: rz.load(build("gpt2"), check=False),
        OptionError,
        "check='no' is no switch",
        "give True or False",
    ),
    Row(
        "something that is no edit",
        lambda w: model().run(IDS, edits=[None]),
        lambda w: model().run(IDS, edits=None, capture=None),
        EditError,
        "None is not an edit",
        "give edits such as rz.Zero('L2.z[H3]')",
    ),
    # paths and numbers
    Row(
        "largest cells below none",
        lambda w: sweep().top(-1),
        lambda w: sweep().top(1),
        OptionError,
        "n=-1 is out of range",
        "give a whole number, 0 or more",
    ),
    Row(
        "largest cells of no number",
        lambda w: sweep().top("a"),
        lambda w: sweep().top(2),
        OptionError,
        "n='a' is out of range",
        "give a whole number, 0 or more",
    ),
    Row(
        "sweep saved in a folder that is not there",
        lambda w: sweep().save(w / "nowhere" / "sweep.csv"),
        lambda w: sweep().save(w / "sweep.csv"),
        StoreError,
        "there is no folder '{w}/nowhere'",
        "make the folder first, or give another",
    ),
    Row(
        "sweep saved as a folder",
        lambda w: sweep().save(w),
        lambda w: sweep().save(w / "sweep.json"),
        StoreError,
        "this is a folder, not a file",
        "add the file's name",
    ),
    Row(
        "sweep saved nowhere",
        lambda w: sweep().save(None),
        lambda w: sweep().save(str(w / "sweep.json")),
        StoreError,
        "None is no path",
        "give the file's path, as text or a Path",
    ),
    Row(
        "figure saved in a folder that is not there",
        lambda w: sweep().figure().save(w / "nowhere" / "sweep.html"),
        lambda w: sweep().figure().save(w / "sweep.html"),
        StoreError,
        "there is no folder '{w}/nowhere'",
        "make the folder first, or give another",
    ),
    Row(
        "figure saved nowhere",
        lambda w: sweep().figure().save(None),
        lambda w: sweep().figure().save(w / "sweep.json"),
        StoreError,
        "None is no path",
        "give the file's path, as text or a Path",
    ),
    Row(
        "task saved in a folder that is not there",
        lambda w: id_task().save(w / "nowhere" / "task.json"),
        lambda w: rz.Task.load(id_task().save(w / "task.json")),
        StoreError,
        "there is no folder '{w}/nowhere'",
        "make the folder first, or give another",
    ),
    Row(
        "something saved as edits",
        lambda w: rz.save_edits(None, w / "edits.json"),
        lambda w: rz.save_edits(rz.Zero("L0.z"), w / "edits.json"),
        EditError,
        "None is not an edit",
        "give edits such as rz.Zero('L2.z[H3]')",
    ),
    Row(
        "edits saved nowhere",
        lambda w: rz.save_edits([rz.Zero("L0.z")], None),
        lambda w: rz.save_edits([rz.Zero("L0.z")], w / "edits.json"),
        StoreError,
        "None is no path",
        "give the file's path, as text or a Path",
    ),
    Row(
        "edits loaded from nowhere",
        lambda w: rz.load_edits(None),
        lambda w: rz.load_edits(rz.save_edits([rz.Zero("L0.z")], w / "edits.json")),
        StoreError,
        "None is no path",
        "give the file's path, as text or a Path",
    ),
    Row(
        "edits loaded from a folder",
        lambda w: rz.load_edits(w),
        lambda w: rz.load_edits(rz.save_edits([rz.Zero("L0.z")], w / "edits.json")),
        StoreError,
        "this is a folder, not a file of edits",
        "add the file's name",
    ),
    Row(
        "factor that is text",
        lambda w: rz.Scale("L0.z", "2"),
        lambda w: rz.Scale("L0.z", 2),
        EditError,
        "scale at L0.z has factor '2'",
        "give a finite number",
    ),
    Row(
        "factor that is a switch",
        lambda w: rz.Scale("L0.z", True),
        lambda w: rz.Scale("L0.z", 1),
        EditError,
        "scale at L0.z has factor True",
        "give a finite number",
    ),
]


def test_the_table_has_no_row_twice() -> None:
    assert len({row.id for row in ROWS}) == len(ROWS) >= 40


@pytest.mark.parametrize("row", ROWS, ids=[row.id for row in ROWS])
def test_what_is_wrong_is_said(row: Row, tmp_path: Path) -> None:
    with pytest.raises(rz.ResiduumError) as caught:
        row.wrong(tmp_path)
    error = caught.value
    assert type(error) is row.error
    found, expected = error.what.replace(str(tmp_path), "{w}"), row.what
    if expected.endswith("…"):
        found = found[: len(expected) - 1] + "…"
    assert found == expected
    assert error.mend == row.mend
    assert "\n" not in error.what + error.mend
    assert f"mend: {row.mend}" in str(error)


@pytest.mark.parametrize("row", ROWS, ids=[row.id for row in ROWS])
def test_what_is_right_passes(row: Row, tmp_path: Path) -> None:
    row.right(tmp_path)


def test_unknown_attributes_list_what_there_is() -> None:
    with pytest.raises(AttributeError, match="'W_q'; weights are W_Q, W_K, W_V, W_O"):
        model().W_q  # noqa: B018
    with pytest.raises(AttributeError, match="residuum has no 'pach'; look at patch"):
        rz.pach  # noqa: B018
    assert model().W_Q[0].shape == (4, 32, 8)
    assert rz.Zero.kind == "zero"


ERRORS = {name for name in dir(rz.core) if isinstance(getattr(rz.core, name), type)
          and issubclass(getattr(rz.core, name), rz.ResiduumError)}  # fmt: skip


def raise_sites(root: Path) -> list[tuple[str, ast.Call]]:
    """Every place in the package that makes one of its errors."""
    found = []
    for path in sorted((root / "src" / "residuum").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ERRORS:
                found.append((f"{path.relative_to(root)}:{node.lineno}", node))
    return found


def test_every_error_has_a_mend(root: Path) -> None:
    sites = raise_sites(root)
    assert len(sites) > 100
    for place, call in sites:
        given = {each.arg: each.value for each in call.keywords}
        assert call.args, f"{place} says nothing"
        assert "mend" in given, f"{place} has no mend"
        mend = given["mend"]
        empty = isinstance(mend, ast.Constant) and not str(mend.value or "").strip()
        assert not empty, f"{place} has an empty mend"
