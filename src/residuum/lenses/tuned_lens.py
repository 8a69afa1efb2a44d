"""The tuned lens: one trained affine translator a layer, before the final norm and unembedding."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from residuum.core import SILENT, OptionError, Progress, Provenance, StoreError
from residuum.core.notebook import html_of
from residuum.core.paths import as_path
from residuum.core.progress import track as tracked
from residuum.lenses.broken_numbers import need_finite
from residuum.lenses.corpus import corpus_of
from residuum.lenses.lens_fit import LensFit
from residuum.lenses.lens_identity import need_same_model, unembedding_hash
from residuum.lenses.lens_reading import LensReading
from residuum.lenses.lens_state import new_state, read_state, state_folder, storing
from residuum.lenses.lens_training import (
    final_log_probs,
    kl_nats,
    streams_of,
    train_to,
    translated,
)
from residuum.lenses.logit_lens import check_top, read_rows, run_one, stream_row, tracked_ids
from residuum.lenses.verb_options import need_intervals
from residuum.runs import Model, need_model, refuse_unknown, shown, whole_number
from residuum.runs.arguments import need_progress
from residuum.stores.atomic import write_atomically

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Lines

_FORMAT = 1
_TENSORS, _RECORD = "translators.safetensors", "tuned_lens.json"
_BITS = 1 / np.log(2)


@dataclass(frozen=True, eq=False, repr=False)
class TunedLens:
    """Translators: ``h + h·matrix + bias`` is read where the logit lens reads ``h``.

    Shows: what an affine reader finds of the output in each layer's stream. Does not show: that
    the model reads it so, nor that it uses it: the translator is trained on the output, and may
    find what is merely correlated with it.

    Attributes:
        matrices: ``[layer d_model d_model]`` deviation from the identity, for the stream before
            each block; after the last block nothing is translated.
        biases: ``[layer d_model]``.
        unembedding: hash of the final norm and unembedding that it was trained for.
        losses: mean KL over layers at each training step, nats.
        provenance: model, weights, seed and options of the training.

    >>> import residuum as rz
    >>> from residuum.lenses import TunedLens
    >>> model = rz.load("microworld", check=False)
    >>> lens = TunedLens.train(model, ["Mary went to the store ."], steps=1)
    >>> lens.read(model, "Mary went to the store .", top=1).lens
    'tuned'
    """

    matrices: Tensor
    biases: Tensor
    unembedding: str
    losses: tuple[float, ...]
    provenance: Provenance

    @staticmethod
    def train(
        model: Model,
        texts_or_ids: Any,
        *,
        steps: int = 250,
        lr: float = 1e-3,
        batch_size: int = 8,
        context: int | None = None,
        seed: int = 0,
        keep: Any = None,
        keep_every: int = 25,
        progress: Progress = SILENT,
        **unknown: Any,
    ) -> TunedLens:
        """Train a translator for every layer but the last, from the identity.

        Each minimises KL(the model's output || the lens), over all tokens. The model is not
        changed. A step holds logits of batch × tokens × vocabulary for one layer at a time.

        Args:
            model: a loaded model with an unembedding.
            texts_or_ids: texts, rows of ids, or an integer tensor; see ``context``.
            steps: of Adam; the rate falls in a straight line from ``lr`` to zero.
            lr: first learning rate.
            batch_size: sequences in a step, drawn with replacement.
            context: tokens in a sequence, cut from all texts joined; None takes each text as it is.
            seed: of the draws; recorded.
            keep: folder for the state of the training; the same call goes on where it stopped and
                ends with the same weights, bit by bit.
            keep_every: steps between states.
            progress: who is told.

        Raises:
            OptionError: no model, an unknown option or one out of range.
            TokenError: no text, or a corpus shorter than the context.
            StoreError: ``keep`` holds the state of another training.
            CheckFailed: the loss is no number; the rate was too large.

        Source: Belrose et al. 2023, "Eliciting Latent Predictions from Transformers with the Tuned
        Lens", section 3. Deviations: Adam instead of SGD with momentum, no weight decay, and the
        sequences as the caller gives them.
        """
        options = "steps, lr, batch_size, context, seed, keep, keep_every, progress"
        refuse_unknown(unknown, "TunedLens.train", options)
        need_model(model, "TunedLens.train")
        counts = {"steps": steps, "batch_size": batch_size, "keep_every": keep_every}
        for name, value in counts.items():
            whole_number(value, name, 1)
        whole_number(seed, "seed", 0)
        need_progress(progress)
        if not isinstance(lr, (int, float)) or isinstance(lr, bool) or not 0 < lr < 10:
            raise OptionError(f"lr={shown(lr)} is out of range", mend="use 1e-4 to 1e-2")
        corpus = corpus_of(model, texts_or_ids, context)
        hashed = unembedding_hash(model)
        spec = {
            "model": model.adapted.weight_hash, "unembedding": hashed, "corpus": corpus.hash,
            "steps": steps, "lr": lr, "batch_size": batch_size, "seed": seed,
        }  # fmt: skip
        state = new_state(model, lr, seed)
        folder = None if keep is None else state_folder(keep)
        if folder is not None:
            read_state(folder, state, spec)
        train_to(
            model, state, corpus, steps=steps, lr=lr, batch_size=batch_size, spec=spec,
            folder=folder, keep_every=keep_every, progress=progress,
        )  # fmt: skip
        strategy = (
            f"TunedLens.train(steps={steps}, lr={lr:g}, batch_size={batch_size}, "
            f"{len(corpus)} sequences, corpus {corpus.hash[:12]})"
        )
        return TunedLens(
            matrices=torch.stack([each.detach().cpu() for each in state.parameters[::2]]),
            biases=torch.stack([each.detach().cpu() for each in state.parameters[1::2]]),
            unembedding=hashed,
            losses=tuple(state.losses),
            provenance=model.provenance(strategy=strategy, seed=seed),
        )

    def translate(self, stream: Tensor, layer: int) -> Tensor:
        """The stream before block ``layer``, ``[... d_model]``, as the unembedding is to read it.

        Raises:
            OptionError: no such layer; the stream after the last block is read as it is.
        """
        if type(layer) is not int or not 0 <= layer < len(self.matrices):
            raise OptionError(
                f"no translator for block {shown(layer)}",
                mend=f"use 0 to {len(self.matrices) - 1}; the last stream is not translated",
            )
        matrix, bias = (each[layer].to(stream.device) for each in (self.matrices, self.biases))
        return translated(stream, matrix, bias)

    def check_fits(self, model: Model) -> None:
        """Refuse a model that this lens was not trained on.

        Raises:
            OptionError: no model.
            LoadError: another model.
        """
        need_model(model, "a tuned lens")
        own = self.provenance
        need_same_model(self.unembedding, own.weight_hash, own.model_id, model)

    def read(
        self,
        model: Model,
        prompt: Any,
        *,
        top: int = 5,
        track: Sequence[str | int] | str | int | None = (),
    ) -> LensReading:
        """Read every layer of one prompt through its translator; see :func:`logit_lens`.

        Raises:
            LoadError: the lens was trained on another model.
            OptionError, TokenError: as of :func:`logit_lens`.
        """
        self.check_fits(model)
        check_top(model, top)
        last = f"L{model.n_layers - 1}.resid_post"
        run = run_one(model, prompt, [*(f"L{i}.resid_pre" for i in range(model.n_layers)), last])
        with torch.no_grad():
            streams = [
                self.translate(run["resid_pre", i][0], i) for i in range(model.n_layers)
            ]  # fmt: skip
        rows = [
            stream_row(model, label, stream)
            for label, stream in zip(_labels(model), [*streams, run[last][0]], strict=True)
        ]
        return LensReading(
            **read_rows(model, run, rows, top, tracked_ids(model, track)),
            provenance=model.provenance(strategy=f"TunedLens.read(top={top})"),
            lens="tuned",
        )

    def evaluate(
        self,
        model: Model,
        texts_or_ids: Any,
        *,
        context: int | None = None,
        batch_size: int = 8,
        level: float = 0.95,
        resamples: int = 2000,
        seed: int = 0,
        progress: Progress = SILENT,
    ) -> LensFit:
        """KL(output || lens) by layer in bits, for this lens and the logit lens.

        Args:
            model: the one it was trained on.
            texts_or_ids, context: as in :meth:`train`; text that it was not trained on.
            batch_size: sequences in one pass.
            level, resamples, seed: of the bootstrap over sequences.
            progress: who is told.

        Raises:
            LoadError: the lens was trained on another model.
            TokenError: no text, or a corpus shorter than the context.
        """
        self.check_fits(model)
        whole_number(batch_size, "batch_size", 1)
        need_intervals(level, resamples, seed, progress)
        corpus = corpus_of(model, texts_or_ids, context)
        found: list[np.ndarray] = []
        starts = range(0, len(corpus), batch_size)
        for start in tracked(starts, progress, "held-out text", len(starts)):
            which = range(start, min(start + batch_size, len(corpus)))
            found.append(self._fit(model, corpus.batch(which)))
        both = np.concatenate(found, axis=-1) * _BITS
        strategy = f"TunedLens.evaluate({len(corpus)} sequences, corpus {corpus.hash[:12]})"
        return LensFit(
            layers=_labels(model),
            tuned=both[0],
            logit=both[1],
            provenance=model.provenance(strategy=strategy, seed=seed),
            level=level,
            resamples=resamples,
            seed=seed,
        )

    def _fit(self, model: Model, batch: Any) -> np.ndarray:
        """``[lens layer sequence]`` mean KL of each sequence, nats."""
        streams, last = streams_of(model, batch)
        final = final_log_probs(model, last)
        need_finite(model, batch, "the model's prediction", (final,))
        lengths = batch.lengths.tolist()
        rows: list[list[np.ndarray]] = [[], []]
        with torch.no_grad(), model.adapted.passing():
            for layer, stream in enumerate([*streams, last]):
                moved = stream if layer == model.n_layers else self.translate(stream, layer)
                for lens, each in enumerate((moved, stream)):
                    values = kl_nats(model, each, final).cpu().double().split(lengths)
                    rows[lens].append(np.array([float(part.mean()) for part in values]))
        found = np.stack([np.stack(each) for each in rows])
        need_finite(model, batch, "the lens's fit", (found,))
        return found

    def __repr__(self) -> str:
        layers, width = self.biases.shape
        ends = f", KL {self.losses[0]:.3f} to {self.losses[-1]:.3f} nats" if self.losses else ""
        return f"TunedLens({self.provenance.model_id}, {layers} translators × {width}{ends})"

    def to_dataframe(self) -> pd.DataFrame:
        """One row a step of the training: ``step, loss_nats``, the mean KL over the rows."""
        import pandas as pd

        return pd.DataFrame({"step": range(len(self.losses)), "loss_nats": self.losses})

    def figure(self, title: str = "Training of the tuned lens") -> Lines:
        """The loss over the steps; how good the lens is on other text says :meth:`evaluate`."""
        from residuum.figures import Lines, Series

        return Lines(
            list(range(len(self.losses))),
            [Series("mean over the layers", list(self.losses))],
            x="step",
            y="KL(output || lens)",
            unit="nats",
            title=title,
            caption=f"On the sequences of each step. {self.provenance.strategy}.",
            does_not_show="how the lens does on text that it was not trained on.",
        )

    def _repr_html_(self) -> str | None:
        return html_of(self)

    # -- on disk -----------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """Plain data, without the tensors."""
        return {
            "format": _FORMAT,
            "unembedding": self.unembedding,
            "losses_nats": list(self.losses),
            "provenance": self.provenance.to_json(),
        }

    def save(self, folder: str | Path) -> None:
        """Write ``translators.safetensors`` and ``tuned_lens.json`` into a folder.

        Raises:
            StoreError: no path, a file, or a folder that cannot be written to.
        """
        target = state_folder(folder)
        tensors = {"matrices": self.matrices.contiguous(), "biases": self.biases.contiguous()}
        text = json.dumps(self.to_json(), indent=1)
        with storing(target):
            write_atomically(target / _TENSORS, save(tensors))
            write_atomically(target / _RECORD, text.encode())

    @staticmethod
    def load(folder: str | Path) -> TunedLens:
        """Read what :meth:`save` wrote; it fits the model that it was trained on, and no other.

        Raises:
            StoreError: no such folder, or a damaged or foreign file in it.
        """
        source = as_path(folder)
        try:
            data = json.loads((source / _RECORD).read_text(encoding="utf-8"))
            tensors = load((source / _TENSORS).read_bytes())
            if data["format"] != _FORMAT:
                raise ValueError("another format")
            matrices, biases = tensors["matrices"], tensors["biases"]
            width = biases.shape[-1]
            if matrices.ndim != 3 or matrices.shape != (len(biases), width, width):
                raise ValueError(f"shapes {list(matrices.shape)} and {list(biases.shape)}")
            if not bool(matrices.isfinite().all() and biases.isfinite().all()):
                raise ValueError("it holds NaN or infinity")
            return TunedLens(
                matrices,
                biases,
                data["unembedding"],
                tuple(data["losses_nats"]),
                Provenance.from_json(data["provenance"]),
            )
        except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
            raise StoreError(
                f"no tuned lens can be read here: {str(error).splitlines()[0][:80]}",
                mend=f"give the folder that TunedLens.save wrote: {_RECORD} and {_TENSORS}",
                where=str(source),
            ) from error


def _labels(model: Model) -> tuple[str, ...]:
    return ("embed", *(f"L{i}" for i in range(model.n_layers)))
