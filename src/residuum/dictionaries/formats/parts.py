"""What a file of a dictionary holds, whatever the format: tensors in one order, and plain facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from residuum.core import ShapeError

ActivationName = Literal["relu", "topk", "batchtopk", "jumprelu", "gated"]


@dataclass(frozen=True, eq=False, repr=False)
class Parts:
    """A dictionary with one site in and one site out, as its tensors.

    ``encode(x)`` is the activation of ``(scale * x - b_in) W_enc + b_enc``, ``decode(f)`` is
    ``(f W_dec + b_dec) / scale``, and a skip adds ``x W_skip``.

    The shapes are checked by :meth:`check` and not before.

    Attributes:
        W_enc: ``[d_in latent]``.
        W_dec: ``[latent d_out]``; ``b_dec``: ``[d_out]``; ``W_skip``: ``[d_in d_out]``; the others
            ``[latent]``, but for ``b_in``, ``[d_in]``.
        format: name of the format it was read from, or is written to.
        activation: which; gated dictionaries have ``b_gate``, ``b_mag``, ``r_mag``, no ``b_enc``.
        k: latents a row that ``topk`` and ``batchtopk`` keep; None for the others.
        b_in: subtracted from the input; None where nothing is.
        threshold: of ``jumprelu``, and of ``batchtopk`` outside training.
        scale: multiplies inputs, divides outputs.
        reads, writes: addresses as text; None where the files do not say.
        model_name: as the files say; empty where they do not.
        declared: figures that the files state: ``l0``, ``explained_variance``.
        prefixes: sizes of a Matryoshka dictionary's nested prefixes.
        note: what this project wrote beside the format's own fields; empty in others' files.
    """

    format: str
    activation: ActivationName
    W_enc: Tensor
    W_dec: Tensor
    b_dec: Tensor
    b_enc: Tensor | None = None
    b_in: Tensor | None = None
    W_skip: Tensor | None = None
    threshold: Tensor | None = None
    b_gate: Tensor | None = None
    b_mag: Tensor | None = None
    r_mag: Tensor | None = None
    k: int | None = None
    scale: float = 1.0
    reads: str | None = None
    writes: str | None = None
    model_name: str = ""
    declared: Mapping[str, float] = field(default_factory=dict)
    prefixes: tuple[int, ...] = ()
    note: Mapping[str, Any] = field(default_factory=dict)

    @property
    def d_in(self) -> int:
        """Width of what it reads."""
        return self.W_enc.shape[0]

    @property
    def n_latents(self) -> int:
        """Number of latents."""
        return self.W_enc.shape[1]

    @property
    def d_out(self) -> int:
        """Width of what it writes."""
        return self.W_dec.shape[1]

    @property
    def is_transcoder(self) -> bool:
        """Whether it writes elsewhere than it reads."""
        return self.W_skip is not None or self.reads != self.writes

    @property
    def tied(self) -> bool:
        """Whether what is subtracted from the input is, to the bit, what is added to the output."""
        return self.b_in is not None and torch.equal(self.b_in, self.b_dec)

    def __repr__(self) -> str:
        place = self.reads if self.reads == self.writes else f"{self.reads} -> {self.writes}"
        return f"Parts({self.format}: {self.activation}, {self.n_latents} latents, {place})"

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Name and tensor of each part that is there."""
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, Tensor):
                yield each.name, value

    def check(self, where: str) -> Parts:
        """The same, once every tensor has the shape that the others ask for.

        Raises:
            ShapeError: one has not.
        """
        wanted = {
            "W_enc": (self.d_in, self.n_latents),
            "W_dec": (self.n_latents, self.d_out),
            "b_dec": (self.d_out,),
            "b_in": (self.d_in,),
            "W_skip": (self.d_in, self.d_out),
        }
        for name, tensor in self.tensors():
            shape = wanted.get(name, (self.n_latents,))
            if tuple(tensor.shape) != shape:
                raise ShapeError(
                    f"{name} is {list(tensor.shape)}, W_enc and b_dec ask for {list(shape)}",
                    mend="the files are damaged or of two dictionaries; fetch them again",
                    where=where,
                )
        if self.k is not None and not 0 < self.k <= self.n_latents:
            raise ShapeError(
                f"k is {self.k}, of {self.n_latents} latents", mend="fetch the files again",
                where=where,
            )  # fmt: skip
        return self

    def one_dtype(self) -> Parts:
        """All tensors in the widest dtype among them; no number changes."""
        dtype = self.W_enc.dtype
        for _, tensor in self.tensors():
            dtype = torch.promote_types(dtype, tensor.dtype)
        return replace(self, **{name: each.to(dtype) for name, each in self.tensors()})


@dataclass(frozen=True)
class Place:
    """Where a dictionary's files are.

    Attributes:
        folder: they are in it.
        file: the one that was asked for, where one was.
        hint: the path or hub name as the user gave it; some formats say their site only there.
        layer: the layer that was asked for, for folders that hold several; None for none.
    """

    folder: Path
    file: Path | None = None
    hint: str = ""
    layer: int | None = None

    def has(self, *names: str) -> bool:
        """Whether the folder has all of these files."""
        return all((self.folder / name).is_file() for name in names)


class Format(Protocol):
    """A layout of files.

    Attributes:
        name: as in ``format="..."``.
        files: names of the files that it may need (for fetching), ``*`` allowed.
    """

    @property
    def name(self) -> str:
        """See the class."""
        ...

    @property
    def files(self) -> tuple[str, ...]:
        """See the class."""
        ...

    def matches(self, place: Place) -> bool:
        """Whether these files are of this format."""
        ...

    def read(self, place: Place) -> Parts:
        """The dictionary that is there."""
        ...

    def refusal(self, parts: Parts) -> str:
        """Why the format cannot hold this dictionary; empty where it can."""
        ...

    def write(self, parts: Parts, folder: Path) -> None:
        """Put it into a folder that exists."""
        ...
