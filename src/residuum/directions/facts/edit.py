"""A fact edit: a small difference of weights that can be written, taken back and saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from residuum.core import SILENT, LoadError, OptionError, Progress, Provenance
from residuum.core.notebook import html_of
from residuum.directions.facts.edit_file import FORMAT, read, write
from residuum.directions.facts.fact import Fact
from residuum.directions.facts.hold import Hold
from residuum.directions.facts.judging import judge
from residuum.directions.facts.methods import Factors
from residuum.directions.facts.scores import FactScores
from residuum.runs import Model, need_model

if TYPE_CHECKING:
    import pandas as pd

    from residuum.figures import Bars


@dataclass(frozen=True, eq=False, repr=False)
class FactEdit:
    """Facts written into MLP output matrices, as factors of small rank.

    Shows: that the model can be made to say something else of these subjects by changing these
    matrices; :meth:`evaluate` says at what price. Does not show: that the fact *was* stored there
    (an edit can work elsewhere too: Hase et al. 2023), nor that what follows from it changed along.

    Attributes:
        requests: facts with the answers that the model is to say.
        keep: facts about the same subjects that the search for values held.
        prefixes: texts that the prompts stood behind.
        phrasings: templates that the requests were put in beside their own.
        factors: layer -> ``left [d_mlp k]``, ``right [k d_model]``; their product is added.
        probs: ``[request]`` probability of the answer that the search reached, 0 to 1.
        kl_bits: ``[request]`` at the prompts that were to stay, in that search.
        provenance: of the model as it was before; its weight hash is the one that fits.
        reached: ``[request]`` probability of the answer with the edit in the weights, 0 to 1; empty
            where it was not measured.
        holds: ``[request]`` whether the model then says the answer.
    """

    requests: tuple[Fact, ...]
    keep: tuple[Fact, ...]
    prefixes: tuple[str, ...]
    phrasings: tuple[str, ...]
    factors: dict[int, Factors]
    probs: tuple[float, ...]
    kl_bits: tuple[float, ...]
    provenance: Provenance
    reached: tuple[float, ...] = ()
    holds: tuple[bool, ...] = ()
    _hold: Hold = field(default_factory=Hold)

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that are changed."""
        return tuple(self.factors)

    @property
    def used(self) -> frozenset[str]:
        """Every prompt that the edit was made with, prefixes left out."""
        told = [
            replace(request, template=template).prompt
            for request in self.requests
            for template in (request.template, *self.phrasings)
        ]
        return frozenset((*told, *(each.prompt for each in self.keep)))

    @property
    def applied(self) -> bool:
        """Whether the model now holds the edit."""
        return bool(self._hold.originals)

    def __repr__(self) -> str:
        facts = ", ".join(f"{each.prompt} {each.answer}" for each in self.requests[:3])
        more = f" and {len(self.requests) - 3} more" if len(self.requests) > 3 else ""
        state = "applied" if self.applied else "not applied"
        at = ", ".join(f"L{layer}.W_out" for layer in self.layers)
        return f"FactEdit({facts}{more}; {at}; {self.outcome}; {state})"

    @property
    def outcome(self) -> str:
        """Whether the requests hold with the edit in the weights, and how probable they become."""
        if not self.reached:
            return "not measured whether it holds"
        lowest, n = min(self.reached), len(self.holds)
        told = f"probability {lowest:.3f}" if n == 1 else f"lowest probability {lowest:.3f}"
        if all(self.holds):
            return f"holds, {told}"
        missed = f" for {n - sum(self.holds)} of {n} requests" if n > 1 else ""
        return f"does not hold{missed}, {told}"

    # -- in the model ------------------------------------------------------------------------

    def check_fits(self, model: Model) -> None:
        """Refuse a model with other weights than those that the edit was made for.

        Raises:
            OptionError: no model.
            LoadError: other weights.
        """
        need_model(model, "FactEdit")
        if model.adapted.rehash() != self.provenance.weight_hash:
            raise LoadError(
                f"this edit was made for other weights than those of {model.name} "
                f"({self.provenance.model_id}, {self.provenance.weight_hash[:12]})",
                mend="load that model, undo later edits first, or make the edit for this one: "
                "rz.edit_facts(model, requests, texts)",
            )

    def apply(self, model: Model | None = None) -> FactEdit:
        """Write the edit into the model's weights; :meth:`undo` takes it back.

        Args:
            model: the one it was made for; by default the object that it was made on or loaded for.

        Raises:
            OptionError: already applied; no model.
            LoadError: other weights.
            CheckFailed: an adapter or a hook on the matrices.
        """
        if self.applied:
            raise OptionError("this edit is already applied", mend="undo() it first")
        bound = self._model(model)
        with bound.adapted.lock:
            self.check_fits(bound)
            self._hold.write(bound, self.factors)
        return self

    def undo(self) -> FactEdit:
        """Put the weights back, bit for bit.

        Raises:
            OptionError: not applied, or the weights were changed since.
        """
        if not self.applied:
            raise OptionError("this edit is not applied", mend="apply() it first")
        self._hold.put_back()
        return self

    def __enter__(self) -> FactEdit:
        return self.apply()

    def __exit__(self, *_: object) -> None:
        self.undo()

    def _model(self, model: Model | None) -> Model:
        found = model if model is not None else self._hold.model
        if found is None:
            raise OptionError("this edit knows no model", mend="give it: edit.apply(model)")
        need_model(found, "FactEdit")
        return found

    def bound_to(self, model: Model) -> FactEdit:
        """The same edit, for this object of the same model."""
        self._hold.model = model
        return self

    # -- judged ------------------------------------------------------------------------------

    def evaluate(
        self,
        model: Model | None = None,
        *,
        facts: Sequence[Fact] = (),
        paraphrases: Sequence[Fact] = (),
        texts: Sequence[str] = (),
        level: float = 0.95,
        seed: int = 0,
        progress: Progress = SILENT,
    ) -> FactScores:
        """Before and after: the requests, other phrasings, other facts, plain text.

        Args:
            model: the one it was made for; left as it was found.
            facts: a pool with ``relation`` set. Facts with a request's subject and relation in
                another phrasing are paraphrases (with the new answer); with its subject and
                another relation ``same_subject``; with its relation and another subject
                ``neighbours``; the rest ``elsewhere``. What the edit itself used is left out.
            paraphrases: more of them, with the new answers; none that the edit used.
            texts: plain text, not that of the edit.
            level, seed: of the bootstrap over subjects, and over texts.
            progress: who is told.

        Raises:
            OptionError: nothing to judge by, or paraphrases that the edit used.
            LoadError: other weights.
        """
        bound = self._model(model)
        home, was_applied = self._hold.model, self.applied
        if was_applied:
            self.undo()
        try:
            self.check_fits(bound)
            self._hold.model = bound
            return judge(
                bound, self, facts=facts, paraphrases=paraphrases, texts=texts, level=level,
                seed=seed, progress=progress,
            )  # fmt: skip
        finally:
            self._hold.model = home or self._hold.model
            if was_applied and not self.applied:
                self.apply()

    # -- shown -------------------------------------------------------------------------------

    def to_dataframe(self) -> pd.DataFrame:
        """One row a request: ``prompt, answer, prob, kl_bits`` of the search for its value."""
        import pandas as pd

        return pd.DataFrame(
            {
                "prompt": [each.prompt for each in self.requests],
                "answer": [each.answer for each in self.requests],
                "prob": self.probs,
                "kl_bits": self.kl_bits,
            }
        )

    def figure(self, title: str = "Facts edited: how the search for their values ended") -> Bars:
        """Probability of each new answer that the search reached."""
        from residuum.figures import Bars

        return Bars(
            [f"{each.prompt} {each.answer}" for each in self.requests],
            list(self.probs),
            unit="probability",
            title=title,
            caption=f"With the value put in place of the MLP's output. {self.provenance.strategy}.",
            does_not_show="what the edited matrix does; evaluate() says that.",
        )

    def _repr_html_(self) -> str | None:
        return html_of(self)

    # -- on disk -----------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """Plain data, without the tensors."""
        return {
            "format": FORMAT,
            "requests": [asdict(each) for each in self.requests],
            "keep": [asdict(each) for each in self.keep],
            "prefixes": list(self.prefixes),
            "phrasings": list(self.phrasings),
            "probs": list(self.probs),
            "kl_bits": list(self.kl_bits),
            "provenance": self.provenance.to_json(),
            "reached": list(self.reached),
            "holds": list(self.holds),
        }

    def save(self, folder: str | Path) -> None:
        """Write ``difference.safetensors`` and ``fact_edit.json`` into a folder.

        Raises:
            StoreError: no path, a file, or a folder that cannot be written to.
        """
        write(folder, self.factors, self.to_json())

    @staticmethod
    def load(folder: str | Path, model: Model) -> FactEdit:
        """Read what :meth:`save` wrote, for the model that it was made for; not yet applied.

        Raises:
            StoreError: no such folder, or a damaged or foreign file in it.
            LoadError: another model.
        """
        need_model(model, "FactEdit.load")
        edit = FactEdit(**read(folder))
        edit.check_fits(model)
        return edit.bound_to(model)
