"""What a training leaves: the dictionary, how it went, and where it comes from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from residuum.core import Provenance, StoreError
from residuum.core.notebook import html_of
from residuum.core.paths import as_path
from residuum.dictionaries.harvests.sources import ActivationSource
from residuum.dictionaries.record.cross_layer import CrossLayerTranscoder
from residuum.dictionaries.record.dictionary import Dictionary
from residuum.dictionaries.training.curve import Curve
from residuum.dictionaries.training.state import TrainingState
from residuum.stores.atomic import write_atomically

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Panel

TRAINING_FILE = "training.json"
_SHOWS_NOT = (
    "how the dictionary does on other text, whether its latents mean anything, or whether another "
    "seed finds the same ones; nor does the model have to use what it rebuilds."
)


@dataclass(frozen=True, eq=False, repr=False)
class Training:
    """A finished training.

    Shows: how error, L0, explained variance and dead share went on the samples trained on; each
    sample was new to the dictionary only where the stream had not yet repeated.
    Does not show: how the dictionary does on other text, whether its latents mean anything, or
    whether another seed finds the same ones; nor does the model have to use what it rebuilds.

    Attributes:
        name: among those trained on one stream.
        dictionary: the result.
        curve: figures by step; squared errors in the dictionary's scaled units.
        record: plain data: plan, options, the stream and its sites.
        provenance: model, weights, strategy, dtype, device, seed.
    """

    name: str
    dictionary: Dictionary | CrossLayerTranscoder
    curve: Curve
    record: dict[str, Any]
    provenance: Provenance

    def __repr__(self) -> str:
        last = self.curve.last()
        figures = (
            f", L0 {last['l0']:.1f}, explained variance {last['explained_variance']:.3f}, "
            f"dead {last['dead_share']:.1%}"
            if last
            else ""
        )
        return f"Training({self.name}, {self.dictionary.n_latents} latents{figures})"

    def to_dataframe(self) -> pd.DataFrame:
        """One row a window of steps; columns as of :class:`Curve`."""
        return self.curve.to_dataframe()

    def figure(self, title: str = "") -> Panel:
        """Squared error, L0, explained variance and dead share over the samples."""
        return self.curve.figure(
            title or f"Training of {self.name}",
            caption=f"Means over windows of training samples. {self.provenance.strategy}.",
            does_not_show=_SHOWS_NOT,
        )

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def to_json(self) -> dict[str, Any]:
        """Plain data, without the dictionary."""
        return {
            "name": self.name,
            "record": self.record,
            "curve": self.curve.to_json(),
            "provenance": self.provenance.to_json(),
        }

    def save(self, folder: str | Path) -> None:
        """Write the dictionary and ``training.json`` into a folder.

        Raises:
            StoreError: no path, a file, or a folder that cannot be written to.
        """
        target = as_path(folder)
        self.dictionary.save(target)
        text = json.dumps(self.to_json(), ensure_ascii=False, indent=1)
        try:
            write_atomically(target / TRAINING_FILE, text.encode())
        except OSError as error:
            raise StoreError(
                f"cannot write to {target}: {error.strerror or error}",
                mend="give a folder that can be written to and has room",
                where=str(target),
            ) from error


def finished_training(
    source: ActivationSource,
    state: TrainingState,
    dtype: torch.dtype,
    device: Any,
    workers: int = 1,
) -> Training:
    """The result of a state that has done its steps."""
    options, curve = state.options, Curve.from_rows(state.curve.rows)
    record = json.loads(
        json.dumps(
            {
                "stream": source.record,
                "sites": list(map(str, source.sites)),
                "weight_hash": source.weight_hash,
                **state.spec(),
            }
        )
    )
    last = curve.last()
    model = str(source.record.get("model_name", source.record.get("kind", "")))
    plan = state.coder.plan
    strategy = (
        f"train_dictionary({type(plan.activation).__name__}, {plan.n_latents} latents, "
        f"{options.schedule.steps} steps of {options.batch_size}, {options.optimiser}"
        f"{f', {workers} workers' if workers > 1 else ''})"
    )
    provenance = Provenance(
        model_id=model, weight_hash=source.weight_hash or "", strategy=strategy,
        tokenizer_hash=str(source.record.get("tokenizer", "")),
        dtype=str(dtype).removeprefix("torch."), device=str(device), seed=options.seed,
    )  # fmt: skip
    dictionary = state.coder.dictionary(
        model_name=model, weight_hash=source.weight_hash,
        tokenizer_hash=provenance.tokenizer_hash,
        declared={name: last[name] for name in ("l0", "explained_variance", "dead_share")},
        provenance=provenance,
    )  # fmt: skip
    return Training(state.name, dictionary, curve, record, provenance)
