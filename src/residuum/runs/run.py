"""A run: one forward pass with its edits, and everything that was kept of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from residuum.core import Address, AddressError, Edit, Provenance, content_hash
from residuum.models import Batch
from residuum.runs.apply import latents_site
from residuum.runs.bounds import check_part, check_position
from residuum.runs.capture import TopK
from residuum.runs.places import View, columns_of
from residuum.runs.run_trace import Reuse, Trace


@dataclass(frozen=True, repr=False)
class Run:
    """One forward pass: what was run, which edits fired, what was kept.

    Shows: what flowed. Does not show: what matters; for that, intervene.

    Attributes:
        batch: token ids and padding mask.
        logits: ``[batch pos d_vocab]``, or None when the pass stopped early.
        edits: the edits, in order.
        fired: edit -> number of sites it wrote to.
        captured: address -> tensor (or ``TopK``), as asked for.
        grads: address -> gradient of the metric, if one was given.
        metric: value of the metric for which gradients were taken.
        words: makes the tokens' texts when they are asked for.
        origin: makes the provenance when it is asked for (hashing all weights takes time).
        passes: what the run cost, in forward passes over its prompts, counted by blocks: 1.0 for a
            whole run, 0.25 where 3 of 12 blocks were run, one more for the pass that ``Freeze``
            needs. Embedding, unembedding and a backward pass are not counted.
        reuse: for a run made with ``after=``, the block that it started at, and why no later one.
        trace: what ``after=`` needs to know of this run; None where it kept no stream.

    >>> import residuum as rz
    >>> model = rz.load("microworld", check=False)
    >>> model.run("Mary went to the store .", capture=["L1.z"], edits=[rz.Zero("L0.z[H3]")])
    Run(1 prompt × 7 tokens
      captured: L1.z
      fired: Zero('L0.z[H3]') at 1 site)
    """

    batch: Batch
    logits: Tensor | None
    edits: tuple[Edit, ...]
    fired: Mapping[Edit, int]
    captured: Mapping[Address, Tensor | TopK]
    origin: Callable[[], Provenance]
    grads: Mapping[Address, Tensor] = field(default_factory=dict)
    metric: Tensor | None = None
    words: Callable[[], tuple[tuple[str, ...], ...]] = tuple
    passes: float = 1.0
    reuse: Reuse | None = None
    trace: Trace | None = None

    @property
    def tokens(self) -> tuple[tuple[str, ...], ...]:
        """The tokens of each prompt as text; empty without a tokenizer."""
        return self.words()

    @property
    def provenance(self) -> Provenance:
        """Model, weights, tokenizer, dtype and device of the run."""
        return self.origin()

    @property
    def ids(self) -> Tensor:
        """``[batch pos]`` token ids; their identity, not the text's, is the prompt's."""
        return self.batch.ids

    @property
    def last(self) -> Tensor:
        """Logits at each prompt's last real token, ``[batch d_vocab]``."""
        if self.logits is None:
            raise AddressError("this run stopped before the logits", mend="run with logits=True")
        ends = (self.batch.starts + self.batch.lengths - 1).to(self.logits.device)
        return self.logits[torch.arange(len(ends), device=self.logits.device), ends]

    def __repr__(self) -> str:
        lines = [_prompts_text(self.batch)]
        if self.logits is None:
            lines.append("stopped before the logits")
        if self.reuse is not None:
            lines.append(_reuse_text(self.reuse))
        for label, table in (("captured", self.captured), ("gradients", self.grads)):
            if table:
                lines.append(f"{label}: {_sites_text(table)}")
        if self.fired:
            lines.append(
                f"fired: {_shortened([_fired_text(*each) for each in self.fired.items()])}"
            )
        return f"Run({_NEW_LINE.join(lines)})"

    def __getitem__(self, key: str | tuple[str, int] | Address) -> Any:
        """A captured tensor: ``run["L9.z"]``, ``run["pattern", 0]``, ``run["L9.z[H6]@-1"]``.

        A name without its layer, ``run["z"]`` or ``run["z[H6]"]``, is enough where one layer was
        captured.

        Raises:
            AddressError: it was not captured; several captured sites are meant; a head, neuron,
                latent or position that is not there.
        """
        return self._look_up(self.captured, key, "captured", "capture")

    @property
    def grad(self) -> _Gradients:
        """Gradients by address, like the captured tensors: ``run.grad["L9.z"]``."""
        return _Gradients(self)

    def __contains__(self, key: str | tuple[str, int] | Address) -> bool:
        address = Address.parse(key)
        try:
            self[address]
        except AddressError:
            return False
        return True

    def site_value(self, address: Address) -> Any:
        """The value that patching from this run writes at ``address``.

        A mean over all tokens serves at every position.

        Raises:
            AddressError: a query, which would need several values; not captured; a part or
                position that is not there.
        """
        if address.is_query:
            raise AddressError(
                f"{address} may mean several sites, each with a value of its own",
                mend="make one edit for each, such as [rz.Patch(f'L{i}.z', run) for i in (0, 1)]",
            )
        whole = self.captured.get(address.base)
        mean = isinstance(whole, Tensor) and whole.ndim == len(address.site.dims) - 2
        return self[replace(address, pos=None) if mean else address]

    def _look_up(self, table: Mapping[Address, Any], key: Any, done: str, option: str) -> Any:
        address = self._one_meant(table, Address.parse(key), done)
        if address in table:
            return table[address]
        part = None if address.is_query else self._slice(table, address)
        if part is not None:
            return part.clone()
        have = ", ".join(map(str, table)) or "nothing"
        raise AddressError(
            f"{address} was not {done}",
            mend=f"ask for it: model.run(..., {option}=[{str(address.base)!r}]); there is: {have}",
        )

    def _one_meant(self, table: Mapping[Address, Any], query: Address, done: str) -> Address:
        """The one address that a query such as ``z`` means among what is there; others as given.

        Raises:
            AddressError: it means several.
        """
        query = replace(query, part=None) if query.part == "*" else query
        if not query.is_query:
            return query
        alike = [each for each in table if query.covers(each, _layers_in(table))]
        found = list(dict.fromkeys(replace(query, name=a.name, layer=a.layer) for a in alike))
        found = [a for a in found if a in table or self._slice(table, a) is not None]
        if len(found) > 1:
            raise _several(query, found, done, "run.grad" if table is self.grads else "run")
        bare = query == Address(query.name)
        return found[0] if found else alike[0] if bare and len(alike) == 1 else query

    def _slice(self, table: Mapping[Address, Any], address: Address) -> Tensor | None:
        """A part of a captured whole, or None where that was not kept.

        Raises:
            AddressError: it was kept, and has no such part or position.
        """
        if address.dictionary is not None:
            latents = table.get(replace(address, part=None, pos=None))
            if not isinstance(latents, Tensor) or latents.ndim != len(address.site.dims):
                return None
            check_part(address, latents.shape[-1])
            check_position(address, self.batch.lengths)
            whole = View(latents_site(address), columns_of(self.batch)).read(latents)
            if whole is None or not isinstance(address.part, int):
                return whole
            return whole[..., address.part]
        whole, dims = table.get(address.base), address.site.dims
        if not isinstance(whole, Tensor):
            return None
        if whole.ndim == len(dims):
            axis = address.site.part_axis
            check_part(address, whole.shape[axis] if axis is not None else 0)
            check_position(address, self.batch.lengths)
            return View(address, columns_of(self.batch)).read(whole)
        return _slice_of_mean(whole, address)

    @property
    def hash(self) -> str:
        """Content hash of the run: model, token ids, mask, edits, dtype."""
        mask = None if self.batch.mask is None else self.batch.mask.int().tolist()
        return content_hash(
            {
                "model": self.provenance.weight_hash,
                "dtype": self.provenance.dtype,
                "ids": self.batch.ids.tolist(),
                "mask": mask,
                "edits": [edit.to_json() for edit in self.edits],
            }
        )


_NEW_LINE = "\n  "
_MOST = 6


def _prompts_text(batch: Batch) -> str:
    lengths = batch.lengths.tolist()
    short, long = min(lengths), max(lengths)
    tokens = f"{long} tokens" if short == long else f"{short} to {long} tokens"
    return f"{_counted(len(lengths), 'prompt')} × {tokens}"


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _shortened(texts: list[str]) -> str:
    more = [f"{len(texts) - _MOST} more"] if len(texts) > _MOST else []
    return ", ".join(texts[:_MOST] + more)


def _fired_text(edit: Edit, sites: int) -> str:
    return f"{edit!r} at {_counted(sites, 'site')}"


def _reuse_text(reuse: Reuse) -> str:
    begun = f"from block {reuse.layer} on" if reuse.layer else "whole, though after another run"
    return f"{begun}: {reuse.reason}" if reuse.reason else begun


def _sites_text(table: Mapping[Address, Any]) -> str:
    """Addresses, those that differ by their layer alone together: ``L*.z (4 layers)``."""
    groups: dict[str, list[Address]] = {}
    for address in table:
        several = address if address.layer is None else replace(address, layer="*")
        groups.setdefault(str(several), []).append(address)
    texts = [
        f"{name} ({len(of_name)} layers)" if len(of_name) > 1 else str(of_name[0])
        for name, of_name in groups.items()
    ]
    return _shortened(texts)


def _layers_in(table: Mapping[Address, Any]) -> int:
    return 1 + max((a.layer for a in table if isinstance(a.layer, int)), default=0)


def _several(query: Address, meant: list[Address], done: str, where: str) -> AddressError:
    """The query means several sites that are there; which of them is open."""
    names = {each.name for each in meant}
    by_layer = len(names) == 1 and query.layer is None
    bare = by_layer and query == Address(query.name)
    how = f'"{query.name}", layer' if bare else f'"L{{layer}}.{query}"' if by_layer else "address"
    return AddressError(
        f"{query} may mean {len(meant)} sites that were {done}",
        mend=f"write {where}[{how}], for one of: {_shortened([str(each) for each in meant])}",
    )


def _slice_of_mean(mean: Tensor, address: Address) -> Tensor | None:
    """A head or a unit of a mean over tokens or over prompts."""
    site, lost = address.site, len(address.site.dims) - mean.ndim
    if site.part_axis is None or not isinstance(address.part, int) or address.pos is not None:
        return None
    gone = (0, site.pos_axis) if lost == 2 else (0,)
    axis = site.part_axis - sum(each < site.part_axis for each in gone)
    check_part(address, mean.shape[axis])
    return mean.select(axis, address.part)


@dataclass(frozen=True)
class _Gradients:
    run: Run

    def __getitem__(self, key: str | tuple[str, int] | Address) -> Tensor:
        return self.run._look_up(self.run.grads, key, "differentiated", "grad_of=metric, capture")
