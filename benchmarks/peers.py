"""What the benchmarks share: a GPT-2-small-shaped random model in both tools, paired timing."""

from __future__ import annotations

import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
import transformers


def gpt2_small_shape(seed: int = 0, **more: Any) -> Any:
    """A GPT-2 of the small shape (12 layers x 12 heads, d_model 768) with random weights."""
    torch.manual_seed(seed)
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(**more)).eval()


def transformer_lens_bridge(model: Any) -> Any:
    """The peer's bridge around the same module, or None where the peer is not installed."""
    try:
        from transformer_lens.model_bridge import TransformerBridge
    except ImportError:
        return None
    folder = Path(tempfile.mkdtemp(prefix="bench-model-"))
    model.config.save_pretrained(folder)
    vocabulary = {"<s>": 0, "a": 1}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<s>"},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    loaded = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), bos_token="<s>", eos_token="<s>"
    )
    loaded.save_pretrained(folder)
    loaded = transformers.AutoTokenizer.from_pretrained(folder)
    return TransformerBridge.boot_transformers(
        str(folder), hf_model=model, tokenizer=loaded, device=str(model.device)
    )


@dataclass(frozen=True)
class Timing:
    """Seconds of one side of a paired run."""

    name: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def paired(sides: dict[str, Callable[[], Any]], rounds: int, warm: int = 2) -> dict[str, Timing]:
    """Time the sides in turn, round by round, so that what disturbs one disturbs all."""
    for _ in range(warm):
        for side in sides.values():
            side()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for index in range(rounds):
        for name in names if index % 2 else reversed(names):
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            start = time.perf_counter()
            sides[name]()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - start)
    return {name: Timing(name, tuple(values)) for name, values in seconds.items()}


def ratio(timings: dict[str, Timing], over: str, under: str) -> float:
    """Median over the rounds of the paired ratio ``over / under``."""
    pairs = zip(timings[over].seconds, timings[under].seconds, strict=True)
    return statistics.median(a / b for a, b in pairs)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
