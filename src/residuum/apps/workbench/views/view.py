"""What a view is: what it needs of a run, the arrays it makes of it, and the code for them.

A file in this folder takes part by having a module-level ``VIEW``, an object that fits
:class:`View`. Everything of a view runs on the worker thread of its model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict

from residuum.runs import Model, Run


class Params(BaseModel):
    """Base of the parameters of a view: closed, every field with a default and with bounds.

    Field names ``run`` and ``minus`` are taken by the request itself.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Meta(BaseModel):
    """Base of the typed fields that go with a view's arrays.

    The first five are filled in by the route; a view adds its own and leaves these alone.

    Attributes:
        run: id of the run shown.
        minus: id of the run subtracted from it, or None.
        view: name of the view.
        tokens: of the prompt, as text.
        ids: of the prompt.
    """

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="null")

    run: str = ""
    minus: str | None = None
    view: str = ""
    tokens: list[str] = []
    ids: list[int] = []


@dataclass(frozen=True)
class Look:
    """What a view reads.

    Attributes:
        model: the model; its worker thread is the one that calls.
        run: one prompt, batch of 1; what :meth:`View.needs` named is in ``run.captured``.
        minus: the run to subtract, of the same length and captured alike; None shows ``run`` alone.
    """

    model: Model
    run: Run
    minus: Run | None = None


@dataclass(frozen=True)
class Arrays:
    """What a view shows.

    Attributes:
        meta: its own typed fields.
        arrays: name -> array of float32, float16, uint8 or int32 (others are refused), in the
            order in which they are sent.
    """

    meta: Meta
    arrays: Mapping[str, np.ndarray]


class View(Protocol):
    """One way of looking at a run.

    Attributes:
        name: in addresses, of the file and of the page's component.
        title: heading.
        order: place among the views, ascending.
        about: one or two sentences: what is shown, and what it does not show.
        Params: its parameters, a closed model with defaults.
        Meta: the typed fields beside its arrays.
    """

    name: str
    title: str
    order: int
    about: str
    Params: type[Params]
    Meta: type[Meta]

    def needs(self, model: Model, params: Any) -> Sequence[str]:
        """Capture queries that reading needs, such as ``["pattern"]``; only sites of this model.

        Raises:
            ResiduumError: this model has not what the view stands on.
        """
        ...

    def read(self, look: Look, params: Any) -> Arrays:
        """Make the arrays; with ``look.minus`` the difference, taken before packing.

        Raises:
            ResiduumError: a layer, head, position or token that is not there.
        """
        ...

    def python(self, params: Any, minus: bool) -> str:
        """Python lines that make the same numbers under the arrays' names.

        In scope are ``rz``, ``torch``, ``model``, ``run`` and, with ``minus``, also ``minus``
        (both ran on a batch of 1 and captured what :meth:`needs` names). The lines use public
        names of the library alone.
        """
        ...
