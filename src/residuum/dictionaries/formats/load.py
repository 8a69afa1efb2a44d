"""Opening dictionaries: this project's own and other tools', from a folder or from the hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from residuum.core import Address, LoadError, OptionError
from residuum.core.paths import as_path
from residuum.dictionaries.fit.checking import fit_dictionary
from residuum.dictionaries.formats import Format, Place
from residuum.dictionaries.formats.as_dictionary import dictionary_of
from residuum.dictionaries.formats.convert import FORMATS, OWN, OWN_FILES, format_named
from residuum.dictionaries.formats.sites import layer_of
from residuum.dictionaries.record.cross_layer import CrossLayerTranscoder
from residuum.dictionaries.record.dictionary import Dictionary
from residuum.dictionaries.record.microworld_asset import embedded_dictionary
from residuum.dictionaries.record.saved_dictionary import read_dictionary
from residuum.models import hub
from residuum.runs import Model, need_model
from residuum.runs.hung import need_name

_HUB = re.compile(r"(?:hf://)?([\w.\-]+/[\w.\-]+)((?:/[\w.\-]+)*)(?:@([\w.\-/]+))?")
_SUFFIXES = ("safetensors", "pt", "npz")


def load_dictionary(
    path: str | Path,
    model: Model | None = None,
    at: str | Address | Sequence[str | Address] | None = None,
    *,
    name: str | None = None,
    check: bool = True,
    text: Any = None,
    format: str | None = None,
) -> Dictionary | CrossLayerTranscoder:
    """Open a dictionary; the format is recognised by its files.

    With a model it is hung on the site that the files name (or ``at``), on the model's own
    activations: where it does not fit there, it is refused.

    Args:
        path: a folder, one file of a set (``.../layer_3.safetensors``), or a name on the hub with
            the folder in it: ``"google/gemma-scope-2b-pt-res/layer_12/width_16k/average_l0_82"``;
            or the one inside the package: ``"microworld-sae"``.
        model: the model that it is for; None reads the files only.
        at: its site, where the files do not say or say it in other words; for a transcoder a pair,
            what it reads and what it writes.
        name: hang it on the model under this name: ``model.dictionaries[name]``,
            ``L5.resid_post/NAME[F31]``.
        check: False skips the fit check.
        text: what the fit check runs on: texts or rows of token ids; None takes text that the model
            writes itself.
        format: skip the recognition: ``"saelens"``, ``"dictionary_learning"``, ``"sparsify"``,
            ``"gemma_scope"``, ``"gemma_scope_2"``, ``"circuit_tracer"``, ``"residuum"``.

    Returns:
        The dictionary; its ``provenance`` says which format it was read from.

    Raises:
        LoadError: no dictionary there, damaged or hostile files, a name on the hub that cannot be
            had, a dictionary of another model.
        AddressError: neither the files nor ``at`` say the site, or the model has none such.
        CheckFailed: the dictionary does not fit the site, with the figures and a mend.
        ShapeError, OptionError, StoreError: other damaged tensors and options.

    Shows: that the dictionary reconstructs this site's activations, about as well as it claims, and
    better than other sites'. Does not show: that its latents mean what their labels say.

    >>> import tempfile, torch
    >>> from residuum.dictionaries import Dictionary, TopK, load_dictionary
    >>> at, eye = ("L1.resid_post",), torch.eye(64)
    >>> own = Dictionary(at, at, W_enc=eye[None], W_dec=2 * eye[:, None], b_dec=torch.zeros(1, 64),
    ...                  activation=TopK(8), b_enc=torch.zeros(64))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     own.save(folder)
    ...     load_dictionary(folder)
    Dictionary(sae: 64 latents of L1.resid_post, TopK(k=8))
    """
    _need_options(model, name, check, text)
    sites = _sites(at)
    layout, place = _found(path, sites, format)
    if layout is None:
        dictionary = _own(place, sites)
    else:
        parts = layout.read(place)
        dictionary = dictionary_of(parts, *_reads_and_writes(sites))
    if model is None:
        return dictionary
    if check:
        fit_dictionary(model, dictionary, text=text).need()
    if name is not None:
        model.dictionaries[name] = dictionary
    return dictionary


def format_of(path: str | Path) -> str:
    """The name of the format of the files at a path or hub name.

    Raises:
        LoadError: there are none, or of no known format.
    """
    layout, _ = _found(path, (), None)
    return OWN if layout is None else layout.name


def _need_options(model: Model | None, name: str | None, check: bool, text: Any) -> None:
    if model is not None:
        need_model(model, "load_dictionary")
    if not isinstance(check, bool):
        raise OptionError(f"check={check!r:.40} is neither True nor False", mend="give one of them")
    if name is not None:
        need_name(name)
    if model is None and (name is not None or text is not None):
        what = "name" if name is not None else "text"
        raise OptionError(f"{what}= is given, and no model", mend="give the model, or leave it out")


def _sites(at: Any) -> tuple[Address, ...]:
    if at is None:
        return ()
    given = (at,) if isinstance(at, (str, Address)) else tuple(at)
    if not 1 <= len(given) <= 2:
        raise OptionError(
            f"at= has {len(given)} sites", mend="give one, or for a transcoder a pair"
        )
    return tuple(Address.parse(each) for each in given)


def _reads_and_writes(sites: tuple[Address, ...]) -> tuple[Address | None, Address | None]:
    if len(sites) == 2:
        return sites[0], sites[1]
    return (sites[0], None) if sites else (None, None)


def _found(path: Any, sites: tuple[Address, ...], name: str | None) -> tuple[Format | None, Place]:
    """The format of the files (None for this project's own), and where they are."""
    chosen = None if name in (None, OWN) else format_named(name)
    layer = layer_of(str(sites[-1])) if sites else None
    target = as_path(path)
    if not target.exists():
        target = embedded_dictionary(str(path)) or _fetched(str(path), chosen, layer)
    file = target if target.is_file() else None
    place = Place(target.parent if file else target, file, str(path), layer)
    if chosen is not None:
        return chosen, place
    if name == OWN or place.has(*OWN_FILES):
        return None, place
    fitting = [each for each in FORMATS if each.matches(place)]
    if len(fitting) == 1:
        return fitting[0], place
    if fitting:
        names = " and ".join(each.name for each in fitting)
        raise LoadError(
            f"the files are of {names}", mend='say which: format="..."', where=str(target)
        )
    raise LoadError(
        "there are no files of a dictionary here",
        mend=f"known formats are {', '.join(each.name for each in FORMATS)} and {OWN}; give the "
        "folder that holds the weights themselves",
        where=str(target),
    )


def _own(place: Place, sites: tuple[Address, ...]) -> Dictionary | CrossLayerTranscoder:
    found = read_dictionary(place.folder)
    if sites and (sites[0],) != found.reads[:1]:
        raise LoadError(
            f"this dictionary is of {', '.join(map(str, found.reads))}, at= says {sites[0]}",
            mend="leave at= out: this project's own files say the site",
            where=str(place.folder),
        )
    return found


def _fetched(name: str, layout: Format | None, layer: int | None) -> Path:
    """The folder of a name on the hub, in its local cache.

    Raises:
        LoadError: no such name, or the hub cannot be reached and the cache does not hold it.
    """
    match = _HUB.fullmatch(name)
    if match is None or ".." in name:
        raise _nowhere(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    repository, inside, revision = match[1], match[2].strip("/"), match[3]
    formats = FORMATS if layout is None else (layout,)
    files = {file for each in formats for file in each.files} | set(OWN_FILES)
    patterns = [f"{inside}/{file}" if inside else file for file in files]
    patterns += [inside] if inside else []
    if inside.rpartition(".")[2] in _SUFFIXES:  # one file: what describes it is beside it
        outer = inside.rpartition("/")[0]
        patterns += [f"{outer}/{each}".lstrip("/") for each in ("config.yaml", "config.json")]
    if layer is not None:
        patterns = [each.replace("layer_*", f"layer_{layer}") for each in patterns]
    patterns = [each for each in patterns if "*" not in each]  # never a whole set
    online = hub.reachable()
    try:
        folder = Path(
            snapshot_download(
                repository, revision=revision, allow_patterns=patterns, local_files_only=not online
            )
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        if not online:
            raise _nowhere(name) from error
        raise LoadError(
            f"the hub does not give {repository}: {str(error).splitlines()[0]:.120}",
            mend="look at the name, the revision and whether access must be asked for",
        ) from error
    target = folder / inside if inside else folder
    if not target.exists():
        raise (
            _nowhere(name)
            if not online
            else LoadError(
                f"{repository} has no {inside} with files of a dictionary",
                mend="give the folder that holds the weights themselves",
            )
        )
    return target


def _nowhere(name: str) -> LoadError:
    reason = "" if hub.reachable() else ", and the hub cannot be reached"
    return LoadError(
        f"there is no dictionary at {name!r:.80}{reason}",
        mend="give a folder, or owner/repository/folder on the hub while online",
    )
