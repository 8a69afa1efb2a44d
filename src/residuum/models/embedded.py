"""The models inside the package: where they are, how one is built, how one is saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from residuum.core.errors import LoadError

if TYPE_CHECKING:
    from transformers import (
        GPT2LMHeadModel,
        PreTrainedModel as PreTrainedModel,
        PreTrainedTokenizerBase as PreTrainedTokenizerBase,
        PreTrainedTokenizerFast,
    )

EMBEDDED = ("microworld", "microworld-trigger")
ORGANISMS = ("induction_2l", "induction_2l_nopos", "skip_trigram_1l")
"""Small models over token ids, without words."""

COMPUTED = ("handmade_induction",)
"""Models whose weights are set in code; they have no folder."""

INSIDE = (*EMBEDDED, *ORGANISMS, *COMPUTED)
_ASSETS = Path(__file__).resolve().parent.parent / "assets"


def embedded_path(name: str) -> Path:
    """Folder of a model inside the package.

    Args:
        name: one of `EMBEDDED` or `ORGANISMS`.

    Returns:
        An ordinary Hugging Face model folder.

    Raises:
        LoadError: no model of this name is inside the package, or its weights are missing.
    """
    if name not in (*EMBEDDED, *ORGANISMS):
        raise LoadError(
            f"no model {name!r} inside the package",
            mend=f"one of: {', '.join((*EMBEDDED, *ORGANISMS))}",
        )
    folder = _ASSETS / name if name in EMBEDDED else _ASSETS / "organisms" / name
    if not (folder / "model.safetensors").is_file():
        raise LoadError(
            f"the weights of {name!r} are missing",
            where=str(folder),
            mend=f"python -m residuum.apps.train {name} --out {folder}"
            if name in EMBEDDED
            else f"residuum organisms train {name} --out {folder}",
        )
    return folder


def build_gpt2(
    *, d_vocab: int, context: int, layers: int, heads: int, d_model: int
) -> GPT2LMHeadModel:
    """A GPT-2-architecture model with random weights from torch's current seed.

    Args:
        d_vocab: number of tokens; ids 0, 1 and 2 are ``<pad>``, ``<s>`` and ``</s>``.
        context: longest prompt in tokens.
        layers: number of blocks.
        heads: attention heads in each block.
        d_model: width of the stream; the MLP is four times as wide.

    Returns:
        The model in float32 on the CPU, without dropout, in evaluation mode.
    """
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=d_vocab,
        n_positions=context,
        n_embd=d_model,
        n_layer=layers,
        n_head=heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    return GPT2LMHeadModel(config).eval()


def save_folder(
    model: PreTrainedModel, folder: Path, tokenizer: dict[str, Any], config: dict[str, Any]
) -> None:
    """Write model and tokenizer as an ordinary Hugging Face folder with safetensors.

    Args:
        model: what to save; its generation settings get its begin, end and padding ids.
        folder: made if missing; files of these names are written over.
        tokenizer: content of ``tokenizer.json``.
        config: content of ``tokenizer_config.json``.
    """
    from transformers import GenerationConfig

    folder.mkdir(parents=True, exist_ok=True)
    model.generation_config = GenerationConfig(
        pad_token_id=model.config.pad_token_id,
        bos_token_id=model.config.bos_token_id,
        eos_token_id=model.config.eos_token_id,
    )
    model.save_pretrained(folder)
    for name, content in (("tokenizer.json", tokenizer), ("tokenizer_config.json", config)):
        text = json.dumps(content, indent=1, ensure_ascii=False)
        (folder / name).write_text(text + "\n", encoding="utf-8")


def open_folder(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Model and tokenizer of a folder, nothing asked of any hub.

    Args:
        folder: as `save_folder` writes it.

    Returns:
        The model in evaluation mode on the CPU, and its tokenizer.

    Raises:
        LoadError: the folder holds no model.
    """
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    if not (folder / "config.json").is_file():
        raise LoadError(
            "no model in this folder", where=str(folder), mend="name a folder with config.json"
        )
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    return model.eval(), tokenizer
