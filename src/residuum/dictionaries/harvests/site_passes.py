"""Passes of a model over rows of text that stop after the last site, and what they leave behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from residuum.core import Address, AddressError, OptionError, ShapeError
from residuum.dictionaries.harvests.token_masks import Skip
from residuum.dictionaries.harvests.token_table import TokenTable
from residuum.models import Batch
from residuum.runs import Capture, Model, resolve
from residuum.stores import TokenRows

TORCH_DTYPES = {
    "float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32,
}  # fmt: skip


@dataclass(frozen=True)
class PassRows:
    """What one pass gave.

    Attributes:
        rows: the tokens that stay, by row of text and position.
        places: ``[row]`` where each stands in the table.
        n_rows: rows of text that were run.
        gone: tokens left out, by reason.
    """

    rows: TokenRows
    places: np.ndarray
    n_rows: int
    gone: dict[str, int]


@dataclass(frozen=True, eq=False)
class SitePasses:
    """How a model is read over a table of text.

    Attributes:
        sites: what is kept; each one vector a token, all of one width.
        dtype: that the vectors are kept in.
        skip: tokens left out; those of high norm are left to the caller, who has the norms.
        batch_size: rows of text in one pass.
    """

    model: Model
    table: TokenTable
    sites: tuple[Address, ...]
    dtype: str
    skip: Skip
    batch_size: int

    def __call__(self, which: np.ndarray) -> Iterator[PassRows]:
        """Run some rows of text, in batches of similar length; each batch by row and position."""
        order = np.argsort(self.table.lengths(which), kind="stable")
        for some in self._batches(which[order]):
            yield self._pass(some)

    def _batches(self, which: np.ndarray) -> Iterator[np.ndarray]:
        lengths = self.table.lengths(which)
        ragged = "right" in self.model.adapted.padding
        ends = np.array([], int) if ragged else np.flatnonzero(np.diff(lengths)) + 1
        for part in np.split(which, ends):
            for start in range(0, len(part), self.batch_size):
                yield np.sort(part[start : start + self.batch_size])

    def _pass(self, which: np.ndarray) -> PassRows:
        batch = _batch(self.table, which, self.model.adapted.tokens.pad_id)
        requests = [Capture(at, dtype=torch.float32) for at in self.sites]
        run = self.model.run(batch, capture=requests, logits=False)
        real = torch.ones_like(batch.ids, dtype=torch.bool) if batch.mask is None else batch.mask
        ids = batch.ids[real].numpy().astype(np.int32)
        stay, gone = self.skip.by_id(ids)
        chosen = real.clone()
        chosen[real] = torch.from_numpy(stay)
        position = chosen.nonzero(as_tuple=True)[1]
        found = [self._vectors(run[at], at, chosen, batch) for at in self.sites]
        norms = torch.stack([norm for _, norm in found], 1)
        values = torch.stack([vectors for vectors, _ in found], 1)
        texts = np.concatenate([self.table.texts_of(int(i)) for i in which])
        places = np.concatenate([np.arange(*self.table.starts[i : i + 2]) for i in which])
        columns = (ids[stay], position.numpy().astype(np.int32), texts[stay])
        rows = TokenRows(*columns, norms.numpy(), _plain(values))
        return PassRows(rows, places[stay], len(which), gone)

    def _vectors(
        self, site: Tensor, at: Address, chosen: Tensor, batch: Batch
    ) -> tuple[Tensor, Tensor]:
        """Vectors of the chosen tokens in the dtype that is kept, and their norms, on the CPU."""
        whole = bool(chosen.all())
        value = site.flatten(0, 1) if whole else site[chosen.to(site.device)]
        norms = torch.linalg.vector_norm(value, dim=-1)
        if not bool(norms.isfinite().all()):
            bad = int((~norms.isfinite()).nonzero()[0])
            row, position = (int(each) for each in chosen.nonzero()[bad])
            word = self.model.adapted.tokens.strings(batch.ids[row, position : position + 1])[0]
            raise ShapeError(
                f"the model holds NaN or infinity there, at token {word!r} (position {position})",
                mend="look at the model's weights and dtype; no dictionary can be trained on it",
                where=str(at),
            )
        return value.to(TORCH_DTYPES[self.dtype]).cpu(), norms.cpu()


def sites_of(model: Model, given: Any) -> tuple[Address, ...]:
    """Addresses from names, queries and addresses; each must hold one vector a token.

    Raises:
        AddressError, SiteRefused: a site that the model lacks, or that holds no vector a token.
        OptionError: none.
    """
    several = [given] if isinstance(given, (str, Address)) else list(given or ())
    found = dict.fromkeys(at for each in several for at in resolve(model.adapted, each))
    if not found:
        raise OptionError("no site to harvest", mend='name one or more, such as "L1.resid_post"')
    for at in found:
        need_vector(at)
    return tuple(found)


def width_of(model: Model, sites: Sequence[Address], table: TokenTable) -> int:
    """The one width of the sites, from a pass over two tokens.

    Raises:
        AddressError: they have several.
    """
    start = torch.from_numpy(np.array(table.row(0)[:2])).long()[None]
    run = model.run(start, capture=list(sites), logits=False)
    widths = {str(at): run[at].shape[-1] for at in sites}
    if len(set(widths.values())) > 1:
        raise AddressError(
            "the sites hold vectors of different widths: "
            + ", ".join(f"{name} {width}" for name, width in list(widths.items())[:4]),
            mend="harvest sites of one width together, each width into its own folder",
        )
    return next(iter(widths.values()))


def need_in_range(rows: TokenRows, dtype: str, sites: Sequence[Address]) -> None:
    """Refuse vectors that became infinite when they were cast.

    Raises:
        ShapeError: there are some.
    """
    if dtype != "float16" or not np.isinf(rows.values).any():
        return
    row, site, _ = (int(each) for each in np.argwhere(np.isinf(rows.values))[0])
    raise ShapeError(
        f"a number at token id {rows.token_ids[row]} (position {rows.positions[row]}, norm "
        f"{rows.norms[row, site]:.3g}) is beyond float16's {np.finfo(np.float16).max:.0f}",
        mend='use dtype="bfloat16" or "float32"',
        where=str(sites[site]),
    )


def need_vector(at: Address) -> None:
    """Refuse what holds no one vector for each token.

    Raises:
        AddressError: it holds none, or means some positions.
    """
    if at.dictionary is not None or at.pos is not None:
        what = "a dictionary's latents" if at.dictionary is not None else "some positions"
        raise AddressError(f"{at} means {what}", mend="name the whole site, such as L1.resid_post")
    dims = at.site.dims
    if "pos" not in dims or len(dims) - 2 - (at.part is not None) != 1:
        raise AddressError(
            f"{at} holds no one vector for each token",
            mend="take the stream (resid_post), mlp_out, mlp_act, or one head (z[H0])",
        )


def need_vectors(sites: Sequence[Address]) -> None:
    """Refuse sites of a dictionary that can be hung on and converted, but not run over text.

    Raises:
        AddressError: one holds no one vector for each token, such as all heads of ``z``.
    """
    for at in sites:
        if len(at.site.dims) > 3 and at.part is None:
            raise AddressError(
                f"{at} holds a vector for each head, the dictionary is of all heads joined",
                mend="its fit can be checked and it can be converted; judging, reading and editing "
                "take sites with one vector a token, such as attn_out",
                where=str(at),
            )


def _batch(table: TokenTable, which: np.ndarray, pad: int) -> Batch:
    rows = [table.row(int(i)) for i in which]
    longest = max(map(len, rows))
    ids = np.full((len(rows), longest), pad, np.int64)
    mask = np.zeros((len(rows), longest), bool)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row)] = True
    return Batch(torch.from_numpy(ids), None if mask.all() else torch.from_numpy(mask))


def _plain(values: Tensor) -> np.ndarray:
    bits = values.dtype == torch.bfloat16
    return values.view(torch.int16).numpy().view(np.uint16) if bits else values.numpy()
