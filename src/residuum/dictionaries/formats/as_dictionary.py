"""What was read from another tool's files, as a dictionary, and this project's note in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from residuum.core import (
    Address,
    AddressError,
    LoadError,
    OptionError,
    Provenance,
    ResiduumError,
    StoreError,
)
from residuum.dictionaries.formats.parts import ActivationName, Parts
from residuum.dictionaries.record.activations import (
    Activation,
    BatchTopK,
    Gated,
    JumpReLU,
    ReLU,
    TopK,
    activation_json,
    read_activation,
)
from residuum.dictionaries.record.dictionary import VECTORS, Dictionary

NAMES: dict[type, ActivationName] = {
    ReLU: "relu", TopK: "topk", BatchTopK: "batchtopk", JumpReLU: "jumprelu", Gated: "gated",
}  # fmt: skip
NOTED = ("model_name", "weight_hash", "tokenizer_hash")
_MOST_LABELS = 2**22


def dictionary_of(
    parts: Parts, reads: Address | None = None, writes: Address | None = None
) -> Dictionary:
    """What was read, as a dictionary.

    Args:
        parts: as read.
        reads, writes: given by the caller; they come before what the files say.

    Raises:
        AddressError: neither the caller nor the files say the site.
        LoadError: this project's own note in the files does not fit them.
    """
    own, said = parts.note, (parts.note.get("reads"), parts.note.get("writes"))
    read_at = reads or _site(said[0]) or _site(parts.reads)
    write_at = writes or _site(said[1]) or _site(parts.writes)
    if reads is not None and writes is None and not parts.is_transcoder:
        write_at = reads
    if read_at is None or write_at is None:
        raise AddressError(
            "the files do not say which site the dictionary is of",
            mend='say it: at="L5.resid_post"; for a transcoder at=("L5.ln2", "L5.mlp_out")',
        )
    rest: dict[str, Any] = {n: each for n, each in parts.tensors() if n in (*VECTORS, "W_skip")}
    try:
        return Dictionary(
            reads=(read_at,),
            writes=(write_at,),
            W_enc=parts.W_enc[None],
            W_dec=parts.W_dec[:, None],
            b_dec=parts.b_dec[None],
            b_in=None if parts.b_in is None else parts.b_in[None],
            activation=_activation(parts),
            **rest,
            scale=parts.scale,
            **_identity(parts, own),
        )
    except (OptionError, AddressError, StoreError) as error:
        raise LoadError(f"the files make no dictionary: {error.what}", mend=error.mend) from error


def note_of(dictionary: Dictionary) -> dict[str, Any]:
    """What no format holds, as plain data: activation by name, model, figures, labels, origin."""
    origin = dictionary.provenance
    return {
        "reads": str(dictionary.reads[0]),
        "writes": str(dictionary.writes[0]),
        "activation": activation_json(dictionary.activation),
        **{name: getattr(dictionary, name) for name in NOTED},
        "declared": dict(dictionary.declared),
        "labels": {str(latent): words for latent, words in dictionary.labels.items()},
        "provenance": None if origin is None else origin.to_json(),
    }


def _site(text: Any) -> Address | None:
    if not isinstance(text, str) or not text:
        return None
    try:
        return Address.parse(text)
    except AddressError as error:
        raise LoadError(
            f"the files name the site {text!r:.60}, which is none",
            mend='say which is meant: at="L5.resid_post"',
        ) from error


def _activation(parts: Parts) -> Activation:
    """By the files' own fields; this project's note adds what those do not hold."""
    plain: dict[str, Activation] = {"relu": ReLU(), "jumprelu": JumpReLU(), "gated": Gated()}
    if parts.k is not None and parts.activation in ("topk", "batchtopk"):
        plain |= {"topk": TopK(parts.k), "batchtopk": BatchTopK(parts.k)}
    if parts.activation not in plain:
        raise LoadError("the files do not say k", mend="fetch the whole folder")
    noted = parts.note.get("activation")
    if noted is None:
        return plain[parts.activation]
    try:
        ours = read_activation(noted if isinstance(noted, Mapping) else {})
    except (ResiduumError, TypeError) as error:
        raise _tampered("activation") from error
    same = NAMES[type(ours)] == parts.activation
    as_jump = parts.activation == "jumprelu" and isinstance(ours, BatchTopK)
    if not (same or as_jump) or parts.k not in (None, getattr(ours, "k", None)):
        raise _tampered("activation")
    return ours


def _identity(parts: Parts, own: Mapping[str, Any]) -> dict[str, Any]:
    """Model, declared figures, labels and origin: of the note where there is one."""
    if not own:
        declared: dict[str, Any] = dict(parts.declared)
        if parts.prefixes:
            declared["prefixes"] = list(parts.prefixes)
        origin = Provenance(
            model_id=parts.model_name,
            strategy=f"read from {parts.format}",
            dtype=str(parts.W_enc.dtype).removeprefix("torch."),
        )
        return {"model_name": parts.model_name, "declared": declared, "provenance": origin}
    try:
        labels, origin = own["labels"], own["provenance"]
        if not isinstance(own["declared"], dict) or len(labels) > _MOST_LABELS:
            raise TypeError("declared")
        texts = [own["model_name"], own["tokenizer_hash"], *labels.values()]
        if not all(isinstance(each, str) for each in texts):
            raise TypeError("text")
        if own["weight_hash"] is not None and not isinstance(own["weight_hash"], str):
            raise TypeError("weight_hash")
        return {
            **{name: own[name] for name in NOTED},
            "declared": own["declared"],
            "labels": {int(latent): words for latent, words in labels.items()},
            "provenance": None if origin is None else Provenance.from_json(origin),
        }
    except (KeyError, TypeError, ValueError, AttributeError, StoreError) as error:
        raise _tampered("record") from error


def _tampered(what: str) -> LoadError:
    return LoadError(
        f"this project's own note in the files has another {what} than the files",
        mend="write them again with rz.convert_dictionary, or delete the note",
    )
