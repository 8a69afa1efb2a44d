"""The GPT-2 oracle runs: on a random model of that shape it fails, by its claims and not by errors.

Its weights are not in the project; without this, nobody would know whether the tests work at all.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as Decoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from residuum.worlds import english_pairs

ROOT = Path(__file__).resolve().parents[2]
CLAIMS = 4
"""Tests in tests/oracle/gpt2."""


def random_gpt2(folder: Path, width: int) -> None:
    """12 layers of 12 heads with a byte-level tokenizer that has IOI's words as single tokens."""
    texts = [text for pair in english_pairs("ioi", 2000) for text in (pair.clean, *pair.answers)]
    bpe = Tokenizer(BPE())
    bpe.pre_tokenizer, bpe.decoder = ByteLevel(add_prefix_space=False), Decoder()
    trainer = BpeTrainer(
        vocab_size=5000, initial_alphabet=ByteLevel.alphabet(), special_tokens=["<|endoftext|>"]
    )
    bpe.train_from_iterator(texts, trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="<|endoftext|>", eos_token="<|endoftext|>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    size = bpe.get_vocab_size()
    config = GPT2Config(
        n_embd=width, vocab_size=size, n_positions=128, bos_token_id=0, eos_token_id=0
    )
    GPT2LMHeadModel(config).save_pretrained(folder)


def oracle(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if key != "RESIDUUM_GPT2"}
    command = [sys.executable, "-m", "pytest", "tests/oracle/gpt2", "-rA", "-p", "no:cacheprovider"]
    command += arguments
    return subprocess.run(
        command, cwd=ROOT, env=kept | settings, capture_output=True, text=True, timeout=250
    )


def lines(done: subprocess.CompletedProcess[str], word: str) -> list[str]:
    return [line for line in done.stdout.splitlines() if line.startswith(word)]


def test_random_weights_fail_by_assertion(tmp_path: Path) -> None:
    random_gpt2(tmp_path, width=96)
    done = oracle(RESIDUUM_GPT2=str(tmp_path))
    failed = lines(done, "FAILED")
    assert len(failed) == CLAIMS and not lines(done, "ERROR"), done.stdout[-3000:]
    reasons = [line for line in done.stdout.splitlines() if ": AssertionError" in line]
    assert len(reasons) == CLAIMS, done.stdout[-3000:]


def test_without_a_copy_it_skips_and_says_how(tmp_path: Path) -> None:
    done = oracle(HF_HOME=str(tmp_path), HF_HUB_CACHE=str(tmp_path / "hub"))
    assert done.returncode == 0 and f"{CLAIMS} skipped" in done.stdout, done.stdout[-2000:]
    assert "RESIDUUM_GPT2=FOLDER" in done.stdout


def test_the_mark_asks_the_hub_and_skips_where_there_is_none(tmp_path: Path) -> None:
    """Nothing listens at the endpoint: what was tried is said, and nothing fails."""
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0"}
    done = oracle("-m", "gpt2", HF_HOME=str(tmp_path), HF_HUB_CACHE=str(tmp_path / "h"), **nowhere)
    assert done.returncode == 0 and f"{CLAIMS} skipped" in done.stdout, done.stdout[-2000:]
    assert "none from the hub" in done.stdout


@pytest.mark.parametrize("place", ["nowhere", "empty"])
def test_a_wrong_place_is_no_skip(tmp_path: Path, place: str) -> None:
    (tmp_path / "empty").mkdir()
    done = oracle(RESIDUUM_GPT2=str(tmp_path / place))
    assert done.returncode == 1 and len(lines(done, "ERROR tests")) == CLAIMS
    assert "skipped" not in done.stdout
