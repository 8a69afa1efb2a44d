"""Loading: a hub name, a local folder, the embedded model, or a model already in memory."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from logging import ERROR, getLogger
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from weakref import WeakKeyDictionary

import torch
from safetensors import SafetensorError

from residuum.core import Address, LoadError, OptionError, TokenError
from residuum.models import hub
from residuum.models.embedded import COMPUTED, INSIDE, embedded_path
from residuum.models.family import FAMILIES, Family, family_of
from residuum.models.parts import Parts, find_parts
from residuum.models.seam import Seam
from residuum.models.taps import Tap, build_taps
from residuum.models.tokens import Tokens
from residuum.models.unknown_family import guess_family
from residuum.models.weights import Weights

_MASKED = ("bert",)
_LOCKS: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
_SAFE = "*.safetensors"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


@dataclass
class Adapted:
    """A model with its parts found and its sites declared; nothing in it was changed.

    Attributes:
        hf: the model, as loaded or as handed in.
        model_id: name, path, or class name.
        taps: site -> where it is seen; the self-check may remove some.
        refused: site -> why it was removed.
        guessed: whether the family has no table and its parts were guessed.
        padding: sides on which padded prompts equal single ones.
        lock: held during a pass, whose hooks would else see the passes of other threads.
    """

    hf: Any
    model_id: str
    family: Family
    parts: Parts
    tokens: Tokens
    seam: Seam
    taps: dict[Address, Tap]
    refused: dict[Address, str] = field(default_factory=dict)
    guessed: bool = False
    seam_proven: bool = False
    padding: tuple[str, ...] = ("left", "right")
    lock: Any = field(default_factory=threading.RLock)
    _hashed: tuple[Any, str] | None = None

    @property
    def weights(self) -> Weights:
        """Weights by name."""
        return Weights(self.parts)

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Hold the model for a pass: no other thread's, dropout off; then as it was before."""
        with self.lock:
            training = [module for module in self.hf.modules() if module.training]
            for module in training:
                module.training = False
            try:
                yield
            finally:
                for module in training:
                    module.training = True

    def new_cache(self) -> Any:
        """An empty key/value cache for this model."""
        from transformers import DynamicCache

        return DynamicCache(config=self.hf.config)

    @property
    def weight_hash(self) -> str:
        """SHA-256 over names, shapes, dtypes and bytes; remembered until weights change."""
        state = self.hf.state_dict()
        version = tuple((each.data_ptr(), each._version) for each in state.values())
        if self._hashed is None or self._hashed[0] != version:
            self._hashed = (version, _hash_weights(state))
        return self._hashed[1]

    def rehash(self) -> str:
        """The hash read from the weights again: writes through ``.data`` leave no trace."""
        self._hashed = None
        return self.weight_hash

    def hooked(self) -> list[str]:
        """Names of the modules that somebody's forward hooks stand on now."""
        return [
            name
            for name, module in self.hf.named_modules()
            if module._forward_hooks or module._forward_pre_hooks
        ]


def _hash_weights(state: dict[str, Any]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        plain = tensor.detach().cpu().contiguous()
        digest.update(plain.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def adapt(
    source: Any,
    *,
    dtype: Any = None,
    device_map: Any = None,
    revision: str | None = None,
    tokenizer: Any = None,
    allow_pickle: bool = False,
    **unknown: Any,
) -> Adapted:
    """Load a model and find its parts.

    Args:
        source: ``"microworld"``, a hub name, a folder, or a ``PreTrainedModel`` in memory.
        dtype, device_map, revision: as in transformers' ``from_pretrained``.
        tokenizer: a tokenizer, a name or folder of one; by default the model's own.
        allow_pickle: load weights stored as pickles, which can run code.

    Raises:
        LoadError: missing or damaged files, weights missing from the checkpoint, pickles.
        OptionError: an unknown option.
        TokenError: a tokenizer with more tokens than the model has.
    """
    if unknown:
        raise OptionError(
            f"unknown option {', '.join(sorted(unknown))}",
            mend="load takes dtype, device_map, revision, tokenizer, allow_pickle, check",
        )
    if isinstance(source, (str, Path)):
        hf, model_id = _load(str(source), dtype, device_map, revision, allow_pickle), str(source)
        hf.eval()
        found = tokenizer if tokenizer is not None else _own_tokenizer(model_id, revision)
    else:
        hf, model_id = _in_memory(source), type(source).__name__
        found = tokenizer
    if isinstance(found, (str, Path)):
        found = _tokenizer(str(found), None)
    if tokenizer is not None:
        _check_tokenizer(found, model_id if isinstance(source, (str, Path)) else None, revision)
    return _adapted(hf, model_id, found)


def _check_tokenizer(given: Any, model_id: str | None, revision: str | None) -> None:
    """Refuse a tokenizer whose ids mean other tokens than those of the model's own."""
    if not hasattr(given, "get_vocab"):
        raise OptionError(
            f"tokenizer= got a {type(given).__name__}", mend="give a tokenizer, its name or folder"
        )
    own = None if model_id is None else _own_tokenizer(model_id, revision)
    if own is None:
        return
    held = given.get_vocab()
    other = [token for token, index in own.get_vocab().items() if held.get(token) != index]
    if other:
        raise TokenError(
            f"the tokenizer is not this model's: {len(other)} of its tokens have other ids, "
            f"such as {other[0]!r}",
            mend="leave tokenizer= out; one with added tokens must keep the model's own ids",
        )


def _adapted(hf: Any, model_id: str, tokenizer: Any) -> Adapted:
    model_type = hf.config.get_text_config().model_type
    family = family_of(model_type)
    guessed = family is None
    family = family or guess_family(hf, model_type)
    parts = find_parts(hf, family)
    seam = Seam(parts)
    tokens = Tokens(tokenizer, parts.dims.d_vocab, parts.dims.n_ctx)
    taps = build_taps(parts, seam)
    lock = _LOCKS.setdefault(hf, threading.RLock())
    return Adapted(hf, model_id, family, parts, tokens, seam, taps, guessed=guessed, lock=lock)


def _in_memory(source: Any) -> Any:
    from transformers import PreTrainedModel

    if isinstance(source, PreTrainedModel):
        return source
    merges = callable(getattr(source, "merge_and_unload", None))
    peft = "; for a PEFT model pass peft_model.merge_and_unload()" if merges else ""
    raise LoadError(
        f"cannot load a {type(source).__name__}",
        mend=f"give a name, a folder, or a transformers PreTrainedModel{peft}",
    )


@contextmanager
def _quietly() -> Iterator[None]:
    """transformers draws no bars and the hub's client tells no retries; afterwards as before."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    client = getLogger("huggingface_hub")
    level = client.level
    logging.disable_progress_bar()
    client.setLevel(ERROR)
    try:
        yield
    finally:
        client.setLevel(level)
        if shown:
            logging.enable_progress_bar()


def _load(name: str, dtype: Any, device_map: Any, revision: str | None, pickles: bool) -> Any:
    import transformers

    _check_dtype(dtype)
    if name in COMPUTED:
        return _computed(dtype, device_map, revision)
    path = Path(embedded_path(name)) if name in INSIDE else Path(name)
    if path.is_dir() and name.strip():
        if revision is not None:
            raise OptionError(
                "revision goes with a name on the hub, not with a folder", mend="leave it out"
            )
        if _without_config(path, pickles):
            return _named_as_transformer_lens(path, dtype, device_map)
        asked: dict[str, Any] = {}
    else:
        _refuse_no_folder(name, path)
        asked = hub.options(name, revision)
    options = {"dtype": dtype, "device_map": device_map, "revision": revision}
    options = {key: value for key, value in options.items() if value is not None}
    place = str(path) if path.is_dir() else name
    import_module("residuum.models.native")  # makes the native family known to transformers
    try:
        with _quietly():
            config = transformers.AutoConfig.from_pretrained(
                place, **asked, **({"revision": revision} if revision else {})
            )
            masked = config.model_type in _MASKED
            auto: Any = (
                transformers.AutoModelForMaskedLM if masked else transformers.AutoModelForCausalLM
            )
            hf, info = auto.from_pretrained(
                place,
                **options,
                **asked,
                use_safetensors=None if pickles and not any(path.glob(_SAFE)) else True,
                ignore_mismatched_sizes=True,  # they are refused by name below
                output_loading_info=True,
            )
    except UnpicklingError as error:
        raise LoadError(
            f"the pickle of {name} holds more than tensors, or is damaged",
            mend="convert it to safetensors where you trust it; such pickles are never run here",
        ) from error
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise (
            hub.absent(name) if hub.is_absence(error, asked) else _reason(name, error)
        ) from error
    _refuse_gaps(name, info)
    return hf


def _computed(dtype: Any, device_map: Any, revision: str | None) -> Any:
    """The hand-set model; its weights are computed, not read."""
    from residuum.models.handset import handmade_induction

    if device_map is not None or revision is not None:
        raise OptionError(
            "handmade_induction takes no device_map and no revision: its weights are computed",
            mend="leave them out; model.hf.to(device) moves it",
        )
    return handmade_induction(_dtype_named(dtype) or torch.float32)


def _named_as_transformer_lens(path: Path, dtype: Any, device_map: Any) -> Any:
    """Weights under TransformerLens's names, in their own dtype unless another is asked for."""
    from residuum.models.native import load_native_folder

    if device_map is not None:
        raise OptionError(
            f"{path} has no config.json, and is loaded without transformers: no device_map",
            mend="leave it out; model.hf.to(device) moves it",
        )
    hf, named = load_native_folder(path), _dtype_named(dtype)
    return hf if named is None else torch.nn.Module.to(hf, named)


def _dtype_named(dtype: Any) -> torch.dtype | None:
    """The dtype asked for; None where it is left to the weights."""
    named = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    return named if isinstance(named, torch.dtype) else None


def _check_dtype(dtype: Any) -> None:
    known = dtype is None or dtype == "auto" or isinstance(dtype, torch.dtype)
    if not known and not isinstance(getattr(torch, str(dtype), None), torch.dtype):
        raise OptionError(
            f"unknown dtype {dtype!r}", mend="use float32, float64, bfloat16, float16 or auto"
        )


def _refuse_no_folder(name: str, path: Path) -> None:
    """Names that can only be meant for a folder, or for a model inside the package."""
    if not name.strip():
        raise LoadError(
            "the name of the model is empty", mend="give microworld, a folder or a name"
        )
    if path.is_file() or name.startswith((".", "/")):
        raise LoadError(f"no model folder at {name}", mend="give a folder with config.json")
    near = get_close_matches(name, INSIDE, n=1, cutoff=0.75)
    if near and "/" not in name:
        raise LoadError(
            f"no model {name!r} inside the package and no such folder",
            mend=f"did you mean {near[0]}? names on the hub have a slash: OWNER/{name}",
        )


def _without_config(path: Path, pickles: bool) -> bool:
    """Whether a folder holds tensors without a configuration; refuse pickles, and no model."""
    has_tensors = any(path.glob(_SAFE))
    if not pickles and not has_tensors:
        found = [each.name for pattern in _PICKLES for each in path.glob(pattern)]
        if found:
            raise LoadError(
                f"{path} stores its weights as a pickle ({found[0]}), which can run code",
                mend="convert it to safetensors, or pass allow_pickle=True if you trust it",
            )
    has_config = (path / "config.json").is_file()
    if not has_config and not has_tensors:
        raise LoadError(f"{path} holds no model", mend="give a folder with config.json and weights")
    return not has_config


def _reason(name: str, error: Exception) -> LoadError:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, SafetensorError) or "safetensors" in first.lower():
        return LoadError(
            f"the weights of {name} are damaged, truncated or not safetensors: {first}",
            mend="download or copy the checkpoint again; pickles need allow_pickle=True",
        )
    if "accelerate" in first or "device" in first.lower():
        return LoadError(
            f"cannot load {name}: {first}",
            mend="check device_map= and dtype=; device_map needs the package accelerate",
        )
    return LoadError(
        f"cannot load {name}: {first}",
        mend="give a folder, microworld (inside the package), or a hub name you can reach",
    )


def _refuse_gaps(name: str, info: dict[str, Any]) -> None:
    missing = sorted(info.get("missing_keys") or [])
    wrong = sorted(str(each) for each in info.get("mismatched_keys") or [])
    if missing or wrong:
        raise LoadError(
            f"the checkpoint of {name} lacks weights the model needs: "
            f"{', '.join((missing + wrong)[:4])} ({len(missing) + len(wrong)} in all)",
            mend="use a complete checkpoint; missing weights would be random numbers",
        )


def _own_tokenizer(name: str, revision: str | None) -> Any:
    if name in COMPUTED:
        return None
    path = Path(embedded_path(name)) if name in INSIDE else Path(name)
    if path.is_dir():
        names = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json")
        return _tokenizer(str(path), None) if any((path / n).is_file() for n in names) else None
    return _tokenizer(name, revision)


def _tokenizer(name: str, revision: str | None) -> Any:
    from transformers import AutoTokenizer

    asked = {} if Path(name).is_dir() else hub.options(name, revision, needs=None)
    try:
        with _quietly():
            return AutoTokenizer.from_pretrained(
                name, **asked, **({"revision": revision} if revision else {})
            )
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise LoadError(
            f"cannot load the tokenizer of {name}: {first}", mend="pass tokenizer=..."
        ) from error


def known_families() -> tuple[Family, ...]:
    """Families with a table."""
    return FAMILIES
