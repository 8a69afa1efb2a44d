"""Residuum: find which parts of a transformer cause a behaviour, and prove it by intervention.

>>> import residuum as rz
>>> model = rz.load("microworld")
>>> run = model.run("Mary went to the store .", edits=[rz.Zero("L1.z[H0]")])
>>> len(run.fired)
1

Importing this package loads neither torch nor transformers; names are fetched when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from residuum.core.provenance import package_version as _package_version

if TYPE_CHECKING:
    from residuum import heads, organisms
    from residuum.core import (
        Add,
        Address,
        AddressError,
        CheckFailed,
        ContrastPair,
        Edit,
        EditError,
        EditNeverFired,
        Erase,
        Freeze,
        LoadError,
        Mean,
        OptionError,
        Patch,
        Resample,
        ResiduumError,
        Scale,
        Set,
        ShapeError,
        SiteRefused,
        Splice,
        StoreError,
        TaskError,
        TokenError,
        Zero,
    )
    from residuum.directions import (
        DifferenceOfMeans,
        Direction,
        Examples,
        Logistic,
        MassMean,
        MultiClass,
        Probes,
        Ridge,
        SparseProbe,
        direction,
        probe,
    )
    from residuum.findings import Finding, investigate, replay
    from residuum.heads import HeadTable, detect_heads
    from residuum.lenses import (
        AttentionView,
        LensReading,
        LogitAttribution,
        StreamContributions,
        TokenAttribution,
        TunedLens,
        attention_view,
        direct_logit_attribution,
        logit_lens,
        stream_contributions,
        token_attribution,
    )
    from residuum.patching import (
        AttributionPatching,
        DirectionAblation,
        Knockout,
        MeanAblation,
        NodeIG,
        PathTable,
        ResampleAblation,
        SwapAblation,
        Sweep,
        ZeroAblation,
        ablate,
        knock_out,
        patch,
        path_patch,
    )
    from residuum.runs import (
        Capture,
        Generation,
        InProcess,
        Model,
        Run,
        Task,
        WorkerProcesses,
        load,
        task_names,
    )
    from residuum.runs import make_task as task
    from residuum.stores import TensorStore, load_edits, save_edits

__version__ = _package_version()

_ROOMS: dict[str, tuple[str, ...]] = {
    "core": (
        "Add",
        "Address",
        "AddressError",
        "CheckFailed",
        "ContrastPair",
        "Edit",
        "EditError",
        "EditNeverFired",
        "Erase",
        "Freeze",
        "LoadError",
        "Mean",
        "OptionError",
        "Patch",
        "Resample",
        "ResiduumError",
        "Scale",
        "Set",
        "ShapeError",
        "SiteRefused",
        "Splice",
        "StoreError",
        "TaskError",
        "TokenError",
        "Zero",
    ),
    "runs": (
        "Capture",
        "Generation",
        "InProcess",
        "Model",
        "Run",
        "Task",
        "WorkerProcesses",
        "load",
        "task_names",
    ),
    "lenses": (
        "AttentionView",
        "LensReading",
        "LogitAttribution",
        "StreamContributions",
        "TokenAttribution",
        "TunedLens",
        "attention_view",
        "direct_logit_attribution",
        "logit_lens",
        "stream_contributions",
        "token_attribution",
    ),
    "heads": ("HeadTable", "detect_heads"),
    "patching": (
        "AttributionPatching",
        "DirectionAblation",
        "Knockout",
        "MeanAblation",
        "NodeIG",
        "PathTable",
        "ResampleAblation",
        "SwapAblation",
        "Sweep",
        "ZeroAblation",
        "ablate",
        "knock_out",
        "patch",
        "path_patch",
    ),
    "directions": (
        "DifferenceOfMeans",
        "Direction",
        "Examples",
        "Logistic",
        "MassMean",
        "MultiClass",
        "Probes",
        "Ridge",
        "SparseProbe",
        "direction",
        "probe",
    ),
    "stores": ("TensorStore", "load_edits", "save_edits"),
    "findings": ("Finding", "investigate", "replay"),
}
_PLACE = {name: (room, name) for room, names in _ROOMS.items() for name in names}
_PLACE["task"] = ("runs", "make_task")

__all__ = [
    "Add",
    "Address",
    "AddressError",
    "AttentionView",
    "AttributionPatching",
    "Capture",
    "CheckFailed",
    "ContrastPair",
    "DifferenceOfMeans",
    "Direction",
    "DirectionAblation",
    "Edit",
    "EditError",
    "EditNeverFired",
    "Erase",
    "Examples",
    "Finding",
    "Freeze",
    "Generation",
    "HeadTable",
    "InProcess",
    "Knockout",
    "LensReading",
    "LoadError",
    "Logistic",
    "LogitAttribution",
    "MassMean",
    "Mean",
    "MeanAblation",
    "Model",
    "MultiClass",
    "NodeIG",
    "OptionError",
    "Patch",
    "PathTable",
    "Probes",
    "Resample",
    "ResampleAblation",
    "ResiduumError",
    "Ridge",
    "Run",
    "Scale",
    "Set",
    "ShapeError",
    "SiteRefused",
    "SparseProbe",
    "Splice",
    "StoreError",
    "StreamContributions",
    "SwapAblation",
    "Sweep",
    "Task",
    "TaskError",
    "TensorStore",
    "TokenAttribution",
    "TokenError",
    "TunedLens",
    "WorkerProcesses",
    "Zero",
    "ZeroAblation",
    "ablate",
    "attention_view",
    "detect_heads",
    "direct_logit_attribution",
    "direction",
    "heads",
    "investigate",
    "knock_out",
    "load",
    "load_edits",
    "logit_lens",
    "organisms",
    "patch",
    "path_patch",
    "probe",
    "replay",
    "save_edits",
    "stream_contributions",
    "task",
    "task_names",
    "token_attribution",
]


def __getattr__(name: str) -> Any:
    if name in (
        "heads",
        "organisms",
    ):  # the rooms themselves: rz.heads.qk, rz.organisms.phase_change
        return import_module(f"residuum.{name}")
    if name not in _PLACE:
        raise AttributeError(f"residuum has no {name!r}; it has: {', '.join(__all__)}")
    room, inner = _PLACE[name]
    value = getattr(import_module(f"residuum.{room}"), inner)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
