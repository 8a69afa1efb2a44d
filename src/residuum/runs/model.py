"""The model as a user holds it: run it, look inside, intervene, generate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from residuum.core import Address, Edit, Provenance, TokenError
from residuum.models import (
    BY_LAYER_NAMES,
    WEIGHT_NAMES,
    Adapted,
    ByLayer,
    Dims,
    Seam,
    adapt,
)
from residuum.runs.apply import Coder
from residuum.runs.arguments import shown, whole_number, yes_or_no
from residuum.runs.generation import Generation, Sampling, generate
from residuum.runs.hung import Hung
from residuum.runs.model_arguments import (
    as_edits,
    batch_of,
    need_bos,
    need_prompts,
    refuse_for_loaded,
    refuse_unknown_of,
    row_of_ids,
)
from residuum.runs.run import Run
from residuum.runs.run_building import run_forward
from residuum.runs.selfcheck import Report, self_check


class Model:
    """A loaded model: the user's own module, unmodified, with its sites by name.

    Made by :func:`load`. Weights answer by name: ``model.W_Q[3]`` is ``[head d_model d_head]``; see
    ``WEIGHT_NAMES``. What the model does not have is an error with a mend, never None.

    Attributes:
        adapted: the model with its parts found.
        report: what the self-check at load proved; None if it was skipped.
        dictionaries: name -> coder hung on a site, for ``Splice`` and ``L5.resid_post/NAME[F31]``.

    >>> import residuum as rz
    >>> model = rz.load("microworld", check=False)
    >>> model.sites[0], model.W_Q[0].shape[0] == model.n_heads
    (Address('embed'), True)
    """

    def __init__(self, adapted: Adapted, report: Report | None = None) -> None:
        self.adapted = adapted
        self.report = report
        self.dictionaries: dict[str, Coder] = Hung()

    # -- what it is --------------------------------------------------------------------------

    @property
    def hf(self) -> Any:
        """The transformers model itself."""
        return self.adapted.hf

    @property
    def dims(self) -> Dims:
        """Sizes: layers, heads, widths."""
        return self.adapted.parts.dims

    @property
    def seam(self) -> Seam:
        """The five functions that rebuild each block."""
        return self.adapted.seam

    @property
    def sites(self) -> tuple[Address, ...]:
        """Every site proven on this model, in forward order."""
        return tuple(self.adapted.taps)

    @property
    def name(self) -> str:
        """Name or path as loaded."""
        return self.adapted.model_id

    @property
    def tokenizer(self) -> Any:
        """The tokenizer, or None."""
        return self.adapted.tokens.tokenizer

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        return self.dims.n_layers

    @property
    def n_heads(self) -> int:
        """Number of query heads in a block."""
        return self.dims.n_heads

    @property
    def n_ctx(self) -> int | None:
        """Longest prompt, None without a bound."""
        return self.dims.n_ctx

    @property
    def d_vocab(self) -> int:
        """Size of the vocabulary."""
        return self.dims.d_vocab

    @property
    def device(self) -> torch.device:
        """Device of the embedding."""
        return next(self.adapted.parts.embed.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the embedding."""
        return next(self.adapted.parts.embed.parameters()).dtype

    def __getattr__(self, name: str) -> ByLayer | Tensor:
        if name in BY_LAYER_NAMES:
            return self.adapted.weights.by_layer(name)
        if name in WEIGHT_NAMES:
            return self.adapted.weights.whole(name)
        raise AttributeError(
            f"a model has no attribute {name!r}; weights are {', '.join(WEIGHT_NAMES)}"
        )

    def __repr__(self) -> str:
        d = self.dims
        return (
            f"Model({self.name}: {self.adapted.family.name}, {d.n_layers} layers × {d.n_heads} "
            f"heads, d_model {d.d_model}, d_vocab {d.d_vocab})"
        )

    # -- tokens ------------------------------------------------------------------------------

    @property
    def prepends_bos(self) -> bool:
        """Whether the tokenizer puts a beginning-of-sequence token in front by itself."""
        return self.adapted.tokens.prepends_bos

    @property
    def bos_token_id(self) -> int | None:
        """Id of the beginning-of-sequence token, or None."""
        return self.adapted.tokens.bos_id

    def to_tokens(self, text: str | Sequence[str], prepend_bos: bool | None = None) -> Tensor:
        """Token ids ``[batch pos]``; ragged texts are padded on the right.

        Args:
            prepend_bos: None does what the tokenizer does (see ``prepends_bos``).

        Raises:
            TokenError: empty text, unknown words, no tokenizer.
        """
        need_prompts(text, prepend_bos)
        return self.adapted.tokens.batch(text, prepend_bos).ids

    def to_single_token(self, word: str) -> int:
        """Id of a word that is exactly one token.

        Raises:
            TokenError: it is not; the message shows its tokens.
        """
        if not isinstance(word, str):
            raise TokenError(f"a word is text, got {shown(word)}", mend="give a text")
        return self.adapted.tokens.single(word)

    def to_str_tokens(self, prompt: Any, prepend_bos: bool | None = None) -> list[str]:
        """The tokens of one text (or row of ids) as strings, BOS included where there is one.

        Raises:
            TokenError: neither a text nor ids.
        """
        need_bos(prepend_bos)
        if isinstance(prompt, str):
            prompt = self.adapted.tokens.encode(prompt, prepend_bos)
        return self.adapted.tokens.strings(row_of_ids(prompt))

    def to_string(self, ids: Any) -> str:
        """The text of token ids.

        Raises:
            TokenError: no ids.
        """
        row = row_of_ids(ids)
        if self.tokenizer is None:
            return "".join(self.adapted.tokens.strings(row))
        return self.tokenizer.decode(row.tolist())

    # -- run ---------------------------------------------------------------------------------

    def provenance(self, **more: Any) -> Provenance:
        """Identity of this model for a result's record."""
        return Provenance(
            model_id=self.name,
            weight_hash=self.adapted.weight_hash,
            tokenizer_hash=self.adapted.tokens.hash(),
            dtype=str(self.dtype).removeprefix("torch."),
            device=str(self.device),
            **more,
        )

    def run(
        self,
        prompts: Any,
        *,
        capture: Iterable[Any] | str | None = (),
        edits: Sequence[Edit] | Edit | None = (),
        attention_mask: Tensor | None = None,
        logits: bool = True,
        prepend_bos: bool | None = None,
        batch_size: int | None = None,
        dtype: torch.dtype | None = None,
        device: Any = None,
        reduce: Any = None,
        grad_of: Callable[[Tensor], Tensor] | None = None,
        after: Run | None = None,
        **unknown: Any,
    ) -> Run:
        """Run prompts forward once, with edits, keeping what is asked for.

        With nothing asked, the model runs untouched: bit-identical logits, its own kernel.

        Args:
            prompts: a text, a list of texts or of id lists, or an integer tensor ``[batch pos]``.
            capture: sites, queries or ``Capture`` requests to keep; None keeps nothing.
            edits: what to write where, applied in this order; None writes nothing.
            attention_mask: ``[batch pos]`` for a padded tensor of ids, on either side.
            logits: False stops the pass after the last site that is needed.
            prepend_bos: None does what the tokenizer does.
            batch_size: prompts in one pass; None for all at once.
            dtype, device, reduce: defaults for ``capture`` (see ``Capture``).
            grad_of: a function of the logits ``[batch pos d_vocab]``; its gradient with respect to
                every captured site is in ``run.grad``.
            after: an earlier run of this model on the same ids and mask, which kept the stream:
                ``model.run(prompts, capture=["resid_pre"])``. Blocks before the first one at which
                the two runs' edits differ are not run again; the numbers are those of a whole run,
                to the last bit. ``run.reuse`` says where it started, ``run.passes`` what it cost.

        Returns:
            The run. ``run["L9.z"]`` is ``[batch pos head d_head]``; padded prompts keep their
            padding in captured tensors.

        Raises:
            AddressError, SiteRefused, EditError, EditNeverFired, ShapeError, TokenError,
            OptionError: nothing that was asked for is ever ignored.

        Shows: what flowed through the model. Does not show: what caused the output.

        >>> import residuum as rz
        >>> model = rz.load("microworld")
        >>> run = model.run("Mary went to the store .", capture=["pattern"])
        >>> run["pattern", 0].shape[-1] == run.ids.shape[1]
        True
        """
        refuse_unknown_of("run", unknown)
        need_prompts(prompts, prepend_bos)
        yes_or_no(logits, "logits")
        batch = batch_of(self.adapted.tokens, prompts, attention_mask, prepend_bos)
        return run_forward(
            self.adapted,
            batch,
            edits=as_edits(edits),
            capture=() if capture is None else capture,
            coders=self.dictionaries,
            logits=logits,
            batch_size=batch_size,
            grad_of=grad_of,
            defaults={"dtype": dtype, "device": device, "reduce": reduce},
            origin=self.provenance,
            after=after,
        )

    def generate(
        self,
        prompts: Any,
        max_new_tokens: int = 20,
        *,
        edits: Sequence[Edit] | Edit | None = (),
        capture: Iterable[Any] | str | None = (),
        temperature: float = 0.0,
        top_k: int | None = None,
        seed: int = 0,
        stop_at_end: bool = True,
        prepend_bos: bool | None = None,
        dtype: torch.dtype | None = None,
        device: Any = None,
        reduce: Any = None,
        **unknown: Any,
    ) -> Generation:
        """Continue prompts, with edits and capture at every step and a KV cache.

        An edit without a position acts on every token, generated ones too. A position counts from
        the prompt's first token, a negative one from the prompt's last; generated tokens have the
        positions after it. So a cached generation equals one that runs the whole text again at
        every step.

        Args:
            prompts: as in :meth:`run`; ragged ones are padded on the left.
            max_new_tokens: at most so many new tokens for each prompt.
            edits, capture: as in :meth:`run`, at every step.
            temperature: 0 is greedy.
            top_k: sample among the k most likely tokens; None among all.
            seed: of the sampling; recorded.
            stop_at_end: stop a row at the tokenizer's end token.
            prepend_bos, dtype, device, reduce: as in :meth:`run`.

        Returns:
            ``ids [batch step]``, texts, and for each captured site one tensor a step.

        Raises:
            AddressError, SiteRefused, EditError, EditNeverFired, ShapeError, TokenError,
            OptionError: as in :meth:`run`; also for ``Freeze``, and for more tokens than the
            context holds.

        Shows: what the model says under these edits. Does not show: why; later tokens follow from
        the earlier ones that it said.

        >>> import residuum as rz
        >>> model = rz.load("microworld", check=False)
        >>> model.generate("The capital of France is", 1).texts
        ('Paris',)
        """
        refuse_unknown_of("generate", unknown)
        need_prompts(prompts, prepend_bos)
        whole_number(seed, "seed", 0)
        yes_or_no(stop_at_end, "stop_at_end")
        return generate(
            self.adapted,
            self.adapted.tokens.batch(prompts, prepend_bos, left=True),
            max_new_tokens=max_new_tokens,
            edits=as_edits(edits),
            capture=() if capture is None else capture,
            coders=self.dictionaries,
            sampling=Sampling(temperature, top_k, seed),
            stop_at_end=stop_at_end,
            defaults={"dtype": dtype, "device": device, "reduce": reduce},
            origin=lambda: self.provenance(seed=seed),
        )


def load(source: Any, *, check: bool = True, **options: Any) -> Model:
    """Open a model: a hub name, a folder, ``"microworld"``, or a ``PreTrainedModel`` in memory.

    The model is not changed. At load every site is checked on random tokens (identities of sums,
    rows of attention, and whether a perturbation reaches the logits); sites that fail are refused
    by name, with the reason, and ``residuum doctor`` prints the table.

    Args:
        source: the name, the folder, or the model itself.
        check: False skips the self-check (every declared site is then taken on trust, and no sweep
            is forked).
        options: ``dtype, device_map, revision, tokenizer, allow_pickle`` (see ``models.adapt``).

    Returns:
        The model; what was proven is in its ``report``.

    Raises:
        LoadError, OptionError, TokenError: what is wrong with the files, options, tokenizer.

    Shows: which sites hold what their names say on this model. Does not show: what the model
    computes with them.

    >>> import residuum as rz
    >>> rz.load("microworld").n_layers > 1
    True
    """
    yes_or_no(check, "check")
    if not isinstance(source, (str, Path)):
        refuse_for_loaded(options)
    adapted = adapt(source, **options)
    return Model(adapted, self_check(adapted) if check else None)
