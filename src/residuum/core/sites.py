"""The vocabulary of sites: every named tensor of the forward pass, its axes and its aliases.

Names and shapes are the field's (they follow TransformerLens, so that code carries over).
Which of them a given model has is not decided here: a family declares them and the self-check
at load proves them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from residuum.core.axes import PART_LETTERS
from residuum.core.errors import AddressError


@dataclass(frozen=True)
class Site:
    """One kind of tensor in the forward pass.

    Attributes:
        name: the name used in addresses.
        dims: axis names, in order.
        layered: whether every block has one (``L3.z``) or the model has one (``logits``).
        meaning: one line.
    """

    name: str
    dims: tuple[str, ...]
    layered: bool
    meaning: str

    @property
    def part_letter(self) -> str | None:
        """Letter that indexes a part of this site (``H``, ``N``, ``E``), or None."""
        for letter, axis in PART_LETTERS.items():
            if axis in self.dims:
                return letter
        return None

    @property
    def part_axis(self) -> int | None:
        """Index of the axis that a part such as ``[H6]`` selects from, or None."""
        letter = self.part_letter
        return None if letter is None else self.dims.index(PART_LETTERS[letter])

    @property
    def pos_axis(self) -> int:
        """Index of the axis that ``@position`` selects from (``q_pos`` for attention maps)."""
        return self.dims.index("q_pos" if "q_pos" in self.dims else "pos")


_STREAM = ("batch", "pos", "d_model")
_READ = ("batch", "pos", "head", "d_model")
_HEAD = ("batch", "pos", "head", "d_head")
_MAP = ("batch", "head", "q_pos", "k_pos")
_MLP = ("batch", "pos", "d_mlp")

_TABLE: tuple[tuple[str, tuple[str, ...], bool, str], ...] = (
    ("embed", _STREAM, False, "token embedding, as added to the stream"),
    ("pos_embed", _STREAM, False, "learned position embedding, as added to the stream"),
    ("resid_pre", _STREAM, True, "stream before the block"),
    ("ln1", _STREAM, True, "what the norm before attention hands on"),
    ("q_in", _READ, True, "each query head's own copy of the stream, before its norm"),
    ("k_in", _READ, True, "each key head's own copy of the stream, before its norm"),
    ("v_in", _READ, True, "each value head's own copy of the stream, before its norm"),
    ("q_pre", _HEAD, True, "queries before rotary embedding (the projection's output)"),
    ("k_pre", _HEAD, True, "keys before rotary embedding (the projection's output)"),
    ("q", _HEAD, True, "queries as attention uses them, after rotary embedding"),
    ("k", _HEAD, True, "keys as attention uses them, after rotary embedding"),
    ("v", _HEAD, True, "values"),
    ("scores", _MAP, True, "scaled, soft-capped, masked, just before softmax"),
    ("pattern", _MAP, True, "attention after softmax; rows sum to 1, less the sink"),
    ("z", _HEAD, True, "per head, before the output projection"),
    ("head_out", _READ, True, "per head, after the output projection, as added to the stream"),
    ("attn_out", _STREAM, True, "what attention adds to the stream"),
    ("resid_mid", _STREAM, True, "stream between attention and MLP"),
    ("mlp_in", _STREAM, True, "the MLP's own copy of the stream, before its norm"),
    ("ln2", _STREAM, True, "what the norm before the MLP hands on"),
    ("mlp_pre", _MLP, True, "pre-activation (of the gate, if gated)"),
    ("mlp_lin", _MLP, True, "the linear branch of a gated MLP"),
    ("mlp_act", _MLP, True, "what enters the MLP's output projection"),
    ("router", ("batch", "pos", "expert"), True, "weight given to each expert, 0 if not chosen"),
    (
        "expert_out",
        ("batch", "pos", "expert", "d_model"),
        True,
        "each expert's weighted contribution",
    ),
    ("mlp_out", _STREAM, True, "what the MLP adds to the stream"),
    ("resid_post", _STREAM, True, "stream after the block"),
    ("ln_final", _STREAM, False, "what the final norm hands on to the unembedding"),
    ("logits", ("batch", "pos", "d_vocab"), False, "next-token logits"),
)

SITES: dict[str, Site] = {row[0]: Site(*row) for row in _TABLE}
"""Name -> site, in the order of the forward pass."""

ATTENTION_DOOR = ("q", "k", "v", "scores", "pattern", "z")
"""Sites that exist only inside the attention function."""

ALIASES: dict[str, str] = {
    "hook_embed": "embed",
    "hook_pos_embed": "pos_embed",
    "hook_resid_pre": "resid_pre",
    "hook_resid_mid": "resid_mid",
    "hook_resid_post": "resid_post",
    "hook_q_input": "q_in",
    "hook_k_input": "k_in",
    "hook_v_input": "v_in",
    "hook_mlp_in": "mlp_in",
    "attn.hook_q": "q_pre",
    "attn.hook_k": "k_pre",
    "attn.hook_rot_q": "q",
    "attn.hook_rot_k": "k",
    "attn.hook_v": "v",
    "attn.hook_attn_scores": "scores",
    "attn.hook_pattern": "pattern",
    "attn.hook_z": "z",
    "attn.hook_result": "head_out",
    "hook_attn_out": "attn_out",
    "hook_mlp_out": "mlp_out",
    "mlp.hook_pre": "mlp_pre",
    "mlp.hook_pre_linear": "mlp_lin",
    "mlp.hook_post": "mlp_act",
}
"""TransformerLens's name inside a block -> ours. ``hook_q`` alone works like ``attn.hook_q``."""

_BEFORE_GAIN = "after gain and bias; TransformerLens's hook_normalized is before"
_BEFORE_CAP = (
    "after the family's scaling and soft cap; TransformerLens's unembed.hook_out is before"
)

NO_COUNTERPART: dict[str, tuple[str, str]] = {
    "ln1.hook_normalized": ("ln1", _BEFORE_GAIN),
    "ln2.hook_normalized": ("ln2", _BEFORE_GAIN),
    "ln_final.hook_normalized": ("ln_final", _BEFORE_GAIN),
    "unembed.hook_out": ("logits", _BEFORE_CAP),
}
"""TransformerLens's name of a tensor that no site is -> the site near it, and what that one is."""

_SHORT = {name.split(".")[-1]: ours for name, ours in ALIASES.items()}
_TL_BLOCK = re.compile(r"blocks\.(\d+|\*)\.(.+)")
_TL_NAME = re.compile(r"([^\[@/]*)(.*)", re.DOTALL)


def translate_alias(text: str) -> str | None:
    """Rewrite a TransformerLens name as an address; None if it is not one.

    A part, a position and a dictionary behind it stay as they are.

    Raises:
        AddressError: TransformerLens has this name for a tensor that is no site here.

    >>> translate_alias("blocks.9.attn.hook_z")
    'L9.z'
    >>> translate_alias("hook_rot_q[H3]@-1")
    'q[H3]@-1'
    >>> translate_alias("resid_post") is None
    True
    """
    named = _TL_NAME.fullmatch(text)
    head, tail = named.groups() if named else (text, "")
    block = _TL_BLOCK.fullmatch(head)
    inner = block[2] if block else head
    if inner in NO_COUNTERPART or inner == "hook_normalized":
        raise _no_counterpart(text, inner, block[1] if block else "{layer}")
    name = ALIASES.get(inner) or _SHORT.get(inner)
    if name is None:
        return None
    return f"L{block[1]}.{name}{tail}" if block else name + tail


def _no_counterpart(text: str, inner: str, layer: str) -> AddressError:
    near, difference = NO_COUNTERPART.get(inner, ("", _BEFORE_GAIN))
    if not near:
        place = "what a norm hands on here (ln1, ln2, ln_final)"
    else:
        place = f"L{layer}.{near}" if SITES[near].layered else near
    return AddressError(
        f"TransformerLens's {text!r} has no counterpart here", mend=f"{place} is {difference}"
    )


def dims_of(name: str) -> tuple[str, ...]:
    """Axis names of a site, in order.

    >>> dims_of("pattern")
    ('batch', 'head', 'q_pos', 'k_pos')
    """
    return SITES[name].dims
