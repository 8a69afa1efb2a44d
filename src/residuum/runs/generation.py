"""Generation with edits and capture at every step, KV cache on, batched."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from residuum.core import Address, Edit, OptionError, Provenance
from residuum.models import Adapted, Batch, Flow
from residuum.runs.apply import Coder, Planned, needs_base_run
from residuum.runs.capture import Kept
from residuum.runs.forward import model_device, refuse_padding
from residuum.runs.places import Columns
from residuum.runs.planning import (
    by_site,
    check_fired,
    plan_captures,
    plan_edits,
    refuse_norm_conflict,
    refuse_not_finite,
    refuse_ragged_resample,
)
from residuum.runs.session import Session


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        temperature: 0 takes the most likely token (greedy).
        top_k: sample among the k most likely; None among all.
        seed: of the sampling, recorded.
    """

    temperature: float = 0.0
    top_k: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Generation:
    """Generated continuations, with what was kept at each step.

    Shows: what the model said. Does not show: why.

    Attributes:
        prompts: the prompts as run.
        ids: ``[batch step]`` generated ids; after the end token, the pad id.
        lengths: generated tokens of each prompt, the end token included.
        texts: the continuations as text (empty without a tokenizer).
        captured: address -> one tensor for each step; step 0 holds the prompt's tokens, later ones
            the new token. ``generation["L1.z"]`` reads them.
        fired: edit -> sites it wrote to.
        sampling: temperature, ``top_k`` and seed.

    >>> import residuum as rz
    >>> model = rz.load("microworld", check=False)
    >>> said = model.generate("The capital of France is", 2, capture=["L1.resid_post"])
    >>> said.texts, [step.shape[1] for step in said["L1.resid_post"]]
    (('Paris .',), [6, 1])
    """

    prompts: Batch
    ids: Tensor
    lengths: Tensor
    texts: tuple[str, ...]
    captured: dict[Address, list[Tensor]]
    fired: dict[Edit, int]
    sampling: Sampling
    origin: Callable[[], Provenance]

    @property
    def provenance(self) -> Provenance:
        """Model, weights, tokenizer, dtype, device and seed of the generation."""
        return self.origin()

    def __getitem__(self, key: Any) -> list[Tensor]:
        address = Address.parse(key)
        if address not in self.captured:
            raise OptionError(
                f"{address} was not captured", mend=f"ask for it: capture=[{str(address)!r}]"
            )
        return self.captured[address]


def generate(
    adapted: Adapted,
    batch: Batch,
    *,
    max_new_tokens: int,
    edits: Sequence[Edit],
    capture: Iterable[Any],
    coders: dict[str, Coder],
    sampling: Sampling,
    stop_at_end: bool,
    defaults: dict[str, Any],
    origin: Callable[[], Provenance],
) -> Generation:
    """See :meth:`residuum.runs.model.Model.generate`."""
    _check(adapted, batch, max_new_tokens)
    _check_sampling(sampling, adapted.parts.dims.d_vocab)
    planned = plan_edits(adapted, edits, batch, coders, more=max_new_tokens - 1)
    if needs_base_run(planned):
        raise OptionError(
            "freezing a site is not defined while generating",
            mend="capture it in a run and give the value: rz.Patch(site, run)",
        )
    refuse_norm_conflict(adapted, [each.address for each in planned], ())
    refuse_ragged_resample(planned, batch)
    more = max_new_tokens - 1 if batch.mask is None else 0  # rows get there in different steps
    wanted = plan_captures(adapted, capture, batch, coders, defaults, more)
    if any(each.request.reduce == "top_k" for each in wanted):
        raise OptionError(
            "top_k is not kept while generating", mend="capture it in a run over the whole text"
        )
    loop = _Loop(adapted, batch, planned, wanted)
    generator = torch.Generator().manual_seed(sampling.seed)
    end = getattr(adapted.tokens.tokenizer, "eos_token_id", None) if stop_at_end else None
    done = torch.zeros(len(batch.ids), dtype=torch.bool)
    steps: list[Tensor] = []
    for _ in range(max_new_tokens):
        logits = loop.step()
        refuse_not_finite(logits, edits)
        chosen = _choose(logits, sampling, generator)
        chosen = torch.where(done, torch.full_like(chosen, adapted.tokens.pad_id), chosen)
        steps.append(chosen)
        loop.lengths_made += (~done).long()
        if end is not None:
            done = done | (chosen == end)
        if bool(done.all()):
            break
        loop.feed(chosen)
    ids = torch.stack(steps, dim=1)
    return Generation(
        prompts=batch,
        ids=ids,
        lengths=loop.lengths_made,
        texts=_texts(adapted, ids, loop.lengths_made),
        captured=loop.captured,
        fired=check_fired(planned),
        sampling=sampling,
        origin=origin,
    )


def _check(adapted: Adapted, batch: Batch, max_new_tokens: int) -> None:
    if adapted.parts.layers[0].wiring == "post_norm_encoder":
        raise OptionError(
            "an encoder does not generate", mend="use run; generation needs a causal model"
        )
    if "past_key_values" not in inspect.signature(adapted.hf.forward).parameters:
        raise OptionError(
            "this family keeps no key/value cache that generation knows",
            mend="run the text again for each new token",
        )
    refuse_padding(adapted, batch)
    if type(max_new_tokens) is not int or max_new_tokens < 1:
        raise OptionError(
            f"max_new_tokens={max_new_tokens!r}: it is a number of tokens, at least 1",
            mend="give a positive whole number",
        )
    n_ctx = adapted.tokens.n_ctx
    longest = int(batch.lengths.max())
    if n_ctx is not None and longest + max_new_tokens > n_ctx:
        raise OptionError(
            f"{longest} tokens of prompt and {max_new_tokens} new ones exceed the context {n_ctx}",
            mend=f"ask for at most {n_ctx - longest} new tokens",
        )


def _check_sampling(sampling: Sampling, d_vocab: int) -> None:
    heat, top_k = sampling.temperature, sampling.top_k
    if not isinstance(heat, (int, float)) or not 0 <= heat < float("inf"):
        raise OptionError(
            f"temperature={heat!r} is out of range", mend="0 is greedy; 1 is the model's own"
        )
    if top_k is None:
        return
    if heat == 0:
        raise OptionError(
            "top_k has no meaning at temperature 0, which takes the most likely token",
            mend="give a temperature, or leave top_k out",
        )
    if type(top_k) is not int or not 1 <= top_k <= d_vocab:
        raise OptionError(f"top_k={top_k!r} is out of range", mend=f"use 1 to {d_vocab}")


def _choose(logits: Tensor, sampling: Sampling, generator: torch.Generator) -> Tensor:
    logits = logits.float().cpu()
    if sampling.temperature == 0:
        return logits.argmax(dim=-1)
    logits = logits / sampling.temperature
    if sampling.top_k is not None:
        lowest = logits.topk(sampling.top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < lowest, float("-inf"))
    return torch.multinomial(torch.softmax(logits, -1), 1, generator=generator).squeeze(1)


def _texts(adapted: Adapted, ids: Tensor, lengths: Tensor) -> tuple[str, ...]:
    if adapted.tokens.tokenizer is None:
        return ()
    rows = zip(ids, lengths.tolist(), strict=True)
    return tuple(adapted.tokens.tokenizer.decode(row[:n].tolist()) for row, n in rows)


class _Loop:
    """The model's state between steps: cache, mask, positions."""

    def __init__(
        self,
        adapted: Adapted,
        batch: Batch,
        planned: list[Planned],
        wanted: list[Kept],
    ) -> None:
        self.adapted = adapted
        self.planned = planned
        self.wanted = wanted
        self.device = model_device(adapted)
        self.starts, self.lengths = batch.starts, batch.lengths
        self.cache = adapted.new_cache()
        self.mask = batch.mask if batch.mask is not None else torch.ones_like(batch.ids).bool()
        self.padded = batch.mask is not None
        self.chunk = batch.ids
        self.past = 0
        self.captured: dict[Address, list[Tensor]] = {each.address: [] for each in wanted}
        self.lengths_made = torch.zeros(len(batch.ids), dtype=torch.long)

    def step(self) -> Tensor:
        """Logits for the next token, ``[batch d_vocab]``."""
        kept = [Kept(each.request, each.address, each.coder) for each in self.wanted]
        session = Session(
            self.adapted,
            by_site(self.planned),
            by_site(kept),
            Columns(self.starts, self.lengths, self.past, self.chunk.shape[1]),
            Flow(batch=self.chunk.shape[0], pos=self.chunk.shape[1]),
            real=self.mask if self.padded else None,
        )
        with self.adapted.passing(), torch.no_grad(), session.installed():
            output = self.adapted.hf(**self._arguments())
        for each in kept:
            if each.chunks or each.count:
                value = each.result()
                assert isinstance(value, Tensor)
                self.captured[each.address].append(value)
        self.past += self.chunk.shape[1]
        return output.logits[:, -1]

    def _arguments(self) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "input_ids": self.chunk.to(self.device),
            "past_key_values": self.cache,
            "use_cache": True,
        }
        accepts = inspect.signature(self.adapted.hf.forward).parameters
        if self.padded:
            mask = self.mask.to(self.device)
            arguments["attention_mask"] = mask.long()
            if self.adapted.family.position_ids:
                positions = (mask.long().cumsum(1) - 1).clamp_min(0)
                arguments["position_ids"] = positions[:, self.past :]
        asked = {each.address.name for each in (*self.planned, *self.wanted)}
        if "logits_to_keep" in accepts and "logits" not in asked:
            arguments["logits_to_keep"] = 1
        return arguments

    def feed(self, chosen: Tensor) -> None:
        """Take the chosen tokens as the next step's input."""
        self.chunk = chosen.unsqueeze(1)
        self.mask = torch.cat([self.mask, torch.ones_like(self.chunk).bool()], dim=1)
