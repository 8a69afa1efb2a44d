"""Tiny chat models with a chat template: random ones, and ones trained to answer the questions."""

from __future__ import annotations

from random import Random

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import residuum as rz
from residuum.findings.audit.chat_tasks import CHAT_TASKS, ChatPair
from residuum.findings.audit.chat_words import ONE_WORD
from residuum.runs import Model

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<user> {{ message.content }} {% endfor %}"
    "{% if add_generation_prompt %}<bot>{% endif %}"
)
SPECIAL = ("<unk>", "<s>", "</s>", "<user>", "<bot>")


def chat_pairs(seed: int = 0) -> list[ChatPair]:
    """Every pair of every chat task."""
    return [pair for name, make in CHAT_TASKS.items() for pair in make(Random(f"{seed}/{name}"))]


def chat_tokenizer() -> PreTrainedTokenizerFast:
    """A word-level tokenizer that holds the questions' words, with a chat template."""
    split = pre_tokenizers.Whitespace()
    texts = [ONE_WORD, "I reckon I am told"]
    texts += [text for pair in chat_pairs() for text in (pair.clean, pair.corrupt)]
    words = sorted({word for text in texts for word, _ in split.pre_tokenize_str(text)})
    vocab = {word: index for index, word in enumerate((*SPECIAL, *words))}
    inner = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    inner.pre_tokenizer = split
    inner.add_special_tokens(list(SPECIAL))
    found = PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        pad_token="</s>",
    )  # fmt: skip
    found.chat_template = TEMPLATE
    return found


def random_chat(seed: int = 0) -> Model:
    """A model that has learned nothing."""
    tokenizer = chat_tokenizer()
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
        bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    return rz.load(LlamaForCausalLM(config).eval(), tokenizer=tokenizer)


def trained_chat(steps: int = 300, seed: int = 0) -> Model:
    """A model trained to answer every pair as its task has it."""
    model = random_chat(seed)
    tokenizer = model.tokenizer
    rows = []
    for pair in chat_pairs():
        for text, answer in ((pair.clean, pair.answer), (pair.corrupt, pair.wrong)):
            said = [{"role": "user", "content": f"{text} {ONE_WORD}"}]
            whole = tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
            ids = tokenizer(whole, add_special_tokens=False)["input_ids"]
            rows.append((ids, tokenizer.convert_tokens_to_ids(answer)))
    hf, rng = model.hf.train(), Random(seed)
    optimizer = torch.optim.AdamW(hf.parameters(), lr=3e-3, weight_decay=0.01)
    for step in range(steps):
        batch = rng.sample(rows, 64)
        longest = max(len(ids) for ids, _ in batch)
        padded = torch.tensor([[2] * (longest - len(ids)) + ids for ids, _ in batch])
        mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids, _ in batch])
        last = hf(input_ids=padded, attention_mask=mask).logits[:, -1]
        loss = torch.nn.functional.cross_entropy(last, torch.tensor([a for _, a in batch]))
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1.0, (step + 1) / 20) * (1 - step / steps)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(hf.parameters(), 1.0)
        optimizer.step()
    return rz.load(hf.eval(), tokenizer=tokenizer)
