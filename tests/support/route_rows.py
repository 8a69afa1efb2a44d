"""One row for every route of the workbench: how it is called rightly, and how wrongly.

A route without a row fails the test that compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

RUN = "<a run>"
SHORT = "<a run of another length>"
JOB = "<a job>"
HOSTILE = "<script>alert(1)</script>"
NO_RUN = "0" * 16
_MODEL = "microworld"
_UNKNOWN_MODEL = ({"model": "nobody/home"}, 404, "no model")
_TRAVERSING_MODEL = ({"model": "../../etc"}, 404, "no model")
_HOSTILE_MODEL = ({"model": HOSTILE}, 404, "no model")
_MODELS = (_UNKNOWN_MODEL, _TRAVERSING_MODEL, _HOSTILE_MODEL)

Bad = tuple[dict[str, Any], int, str]
"""What to change in the good request, the status, and a part of ``what``."""


@dataclass(frozen=True)
class Row:
    """How a route is called.

    Attributes:
        good: body, or query where the method reads.
        bad: wrong variants of it.
        url: with parts filled in; the path itself if empty.
        status: of the good request.
        urls: wrong addresses, with status.
    """

    good: dict[str, Any]
    bad: tuple[Bad, ...] = ()
    url: str = ""
    status: int = 200
    urls: tuple[tuple[str, int], ...] = ()


_IDS = [1, 180, 544, 517, 508, 495, 5]
_EDIT = {"kind": "zero", "at": "L1.z[H0]"}
_REF = {"hash": "a" * 64, "shape": [16], "dtype": "float32"}
_BAD_EDITS: tuple[Bad, ...] = tuple(
    ({"edits": [edit]}, 400, what)
    for edit, what in (
        ({"kind": "zero", "at": "L9.z[H0]"}, "layer 9 is out of range"),
        ({"kind": "zero", "at": "L1.z[H99]"}, "99"),
        ({"kind": "zero", "at": "L1.z@64"}, "position 64"),
        ({"kind": "zero", "at": "L1.nowhere"}, "no site named"),
        ({"kind": "zero", "at": HOSTILE}, "cannot read the address"),
        ({"kind": "zero", "at": 5}, "address"),
        ({"kind": "zero"}, "no 'at'"),
        ({"kind": [], "at": "L1.z"}, "unknown kind"),
        ({}, "unknown kind"),
        ({"kind": "scale", "at": "L1.z", "factor": "much"}, "factor"),
        ({"kind": "scale", "at": "L1.z", "factor": None}, "factor"),
        ({"kind": "set", "at": "L1.z", "value": [[1], [1, 2]]}, "not an array of numbers"),
        ({"kind": "set", "at": "L1.z", "value": "text"}, "not an array of numbers"),
        ({"kind": "set", "at": "L1.z", "value": None}, "no value"),
        ({"kind": "set", "at": "L1.z", "value": 1e300}, "NaN or infinity"),
        ({"kind": "set", "at": "L1.z", "value": [1.0, 2.0, 3.0]}, "shape"),
        ({"kind": "patch", "at": "L1.z", "value": _REF}, "no tensor"),
        ({"kind": "patch", "at": "L1.z", "value": {**_REF, "hash": "../../x"}}, "not a hash"),
        ({"kind": "patch", "at": "L1.z", "value": {**_REF, "hash": 5}}, "not a reference"),
        ({"kind": "patch", "at": "L1.z", "value": {**_REF, "shape": "16"}}, "not a reference"),
        ({"kind": "patch", "at": "L1.z", "value": {**_REF, "dtype": "object"}}, "not a reference"),
        ({"kind": "patch", "at": "L1.z", "value": {"path": "/etc"}}, "not a reference"),
        ({"kind": "resample", "at": "L1.z"}, "only one prompt"),
        ({"kind": "resample", "at": "L1.z", "seed": -1}, "seed"),
        ({"kind": "resample", "at": "L1.z", "seed": 10**30}, "seed"),
        ({"kind": "resample", "at": "L1.z", "seed": "x"}, "seed"),
        ({"kind": "splice", "at": "L1.resid_post", "dictionary": HOSTILE}, "dictionary"),
        ({"kind": "splice", "at": "L1.resid_post", "dictionary": 5}, "dictionary"),
        ({"kind": "erase", "at": "L1.resid_post"}, "directions"),
        ({"kind": "erase", "at": "L1.resid_post", "directions": [0.0] * 128}, "zero"),
    )
)
_BAD_IDS: tuple[Bad, ...] = (
    ({"ids": []}, 400, "ids"),
    ({"ids": [-1]}, 400, "ids"),
    ({"ids": [553]}, 400, "out of range"),
    ({"ids": [10**12]}, 400, "ids"),
    ({"ids": [1.5]}, 400, "ids"),
    ({"ids": [True]}, 400, "ids"),
    ({"ids": ["1"]}, 400, "ids"),
    ({"ids": [1] * 65}, 400, "context"),
    ({"ids": [1] * 9000}, 400, "ids"),
)
_BAD_RUN: tuple[Bad, ...] = (
    ({"run": NO_RUN}, 404, "no run"),
    ({"run": "../" * 5}, 400, "run"),
    ({"run": HOSTILE}, 400, "run"),
    ({"run": None}, 400, "run"),
    ({"run": 5}, 400, "run"),
)
_BAD_MINUS: tuple[Bad, ...] = (
    ({"minus": NO_RUN}, 404, "no run"),
    ({"minus": SHORT}, 400, "tokens"),
    ({"minus": "x"}, 400, "minus"),
)
_QUERY = ({"model": ""}, 400, "model")
_VALUE_AT: tuple[Bad, ...] = (
    ({"at": "z"}, 400, "several sites"),
    ({"at": "L9.z"}, 400, "layer 9"),
    ({"at": "L1.z@64"}, 400, "64"),
    ({"at": "L1.z[H99]"}, 400, "99"),
    ({"at": HOSTILE}, 400, "cannot read the address"),
    ({"at": ""}, 400, "at"),
)
VIEW_BAD = (*_BAD_RUN, *_BAD_MINUS, ({"zzz": 1}, 400, "zzz"))
"""Wrong for every view, beside its own parameters."""

ROWS: dict[tuple[str, str], Row] = {
    ("GET", "/api/openapi.json"): Row({}),
    ("GET", "/api/models"): Row({}),
    ("POST", "/api/models"): Row(
        {"name": _MODEL},
        (
            ({"name": "nobody/home"}, 404, "no model"),
            ({"name": "../../etc/passwd"}, 404, "no model"),
            ({"name": HOSTILE}, 404, "no model"),
            ({"name": ""}, 400, "name"),
            ({"name": 5}, 400, "name"),
            ({"other": 5}, 400, "other"),
        ),
    ),
    ("POST", "/api/tokens"): Row(
        {"model": _MODEL, "text": "Mary went to the store ."},
        (
            *_MODELS,
            ({"text": HOSTILE}, 400, "not in the vocabulary"),
            ({"text": ""}, 400, "text"),
            ({"text": " "}, 400, "empty"),
            ({"text": "\u0000"}, 400, ""),
            ({"text": "Mary " * 65}, 400, "context"),
            ({"text": "x" * 200_001}, 400, "text"),
            ({"prepend_bos": 1}, 400, "prepend_bos"),
        ),
    ),
    ("GET", "/api/tokens/search"): Row(
        {"model": _MODEL, "query": "Mar"},
        (*_MODELS, _QUERY, ({"query": ""}, 400, "query"), ({"query": "x" * 101}, 400, "query")),
    ),
    ("POST", "/api/runs"): Row(
        {"model": _MODEL, "ids": _IDS, "edits": [_EDIT]},
        (
            *_MODELS,
            *_BAD_IDS,
            *_BAD_EDITS,
            ({"text": "Mary"}, 400, "either text or ids"),
            ({"ids": None}, 400, "either text or ids"),
            ({"ids": None, "text": HOSTILE}, 400, "not in the vocabulary"),
            ({"edits": [_EDIT] * 65}, 400, "edits"),
            ({"edits": {"kind": "zero"}}, 400, "edits"),
            ({"edits": ["zero"]}, 400, "edits"),
            ({"views": ["nothing"]}, 400, "no view"),
            ({"views": ["../view"]}, 400, "views"),
            ({"top_k": 0}, 400, "top_k"),
            ({"top_k": 101}, 400, "top_k"),
            ({"top_k": 1.5}, 400, "top_k"),
        ),
    ),
    ("GET", "/api/runs"): Row(
        {"limit": 5},
        (
            ({"limit": 0}, 400, "limit"),
            ({"limit": 1001}, 400, "limit"),
            ({"limit": "x"}, 400, "limit"),
        ),
    ),
    ("GET", "/api/runs/{run}"): Row(
        {},
        url=f"/api/runs/{RUN}",
        urls=(
            (f"/api/runs/{NO_RUN}", 404),
            ("/api/runs/..%2f..%2fetc", 404),
            ("/api/runs/%00", 404),
            (f"/api/runs/{'x' * 65}", 400),
        ),
    ),
    ("POST", "/api/python"): Row(
        {"run": RUN},
        (
            *_BAD_RUN,
            ({"a": SHORT}, 400, "tokens"),
            ({"a": NO_RUN}, 404, "no run"),
            ({"view": "nothing"}, 404, "no view"),
            ({"params": {"layer": 1}}, 400, "params"),
            ({"view": "attention", "params": {"layer": -1}}, 400, "layer"),
            ({"view": "attention", "params": {"zzz": 1}}, 400, "zzz"),
        ),
    ),
    ("POST", "/api/values"): Row(
        {"from": "run", "run": RUN, "at": "L1.z[H0]"},
        (
            *_BAD_RUN,
            *_VALUE_AT,
            ({"from": "elsewhere"}, 400, "elsewhere"),
            ({"from": None}, 400, "None"),
        ),
    ),
    ("POST", "/api/edits/check"): Row(
        {"model": _MODEL, "ids": _IDS, "edits": [_EDIT]},
        (*_MODELS, *_BAD_IDS, ({"edits": [_EDIT] * 65}, 400, "edits")),
    ),
    ("GET", "/api/tasks"): Row({"model": _MODEL}, (*_MODELS, _QUERY)),
    ("POST", "/api/tasks/pairs"): Row(
        {"model": _MODEL, "task": "ioi", "n": 2, "seed": 0},
        (
            *_MODELS,
            ({"task": HOSTILE}, 400, "no task"),
            ({"task": "../x"}, 400, "no task"),
            ({"n": 0}, 400, "n"),
            ({"n": 513}, 400, "n"),
            ({"seed": -1}, 400, "seed"),
            ({"seed": 2**31}, 400, "seed"),
        ),
    ),
    ("GET", "/api/examples"): Row({"model": _MODEL}, (*_MODELS, _QUERY)),
    ("GET", "/api/store"): Row({}),
    ("GET", "/api/views"): Row({}),
    ("POST", "/api/views/{name}"): Row(
        {},
        url="/api/views/nothing",
        status=404,
        urls=(("/api/views/..%2fview", 405), ("/api/views/%3Cscript%3E", 404)),
    ),
    ("POST", "/api/views/attention"): Row(
        {"run": RUN},
        (
            *VIEW_BAD,
            ({"layer": 99, "head": 0}, 400, "99"),
            ({"layer": 0, "head": 99}, 400, "99"),
            ({"layer": 0}, 400, "head"),
            ({"layer": -1, "head": 0}, 400, "layer"),
            ({"thumb": 0}, 400, "thumb"),
            ({"thumb": 10**9}, 400, "thumb"),
            ({"weighting": HOSTILE}, 400, "weighting"),
        ),
    ),
    ("POST", "/api/views/lens"): Row(
        {"run": RUN},
        (
            *VIEW_BAD,
            ({"site": HOSTILE}, 400, "site"),
            ({"kind": "tuned"}, 400, "tuned"),
            ({"quantity": "luck"}, 400, "quantity"),
            ({"target": 553}, 400, "553"),
            ({"target": -1}, 400, "target"),
            ({"top": 0}, 400, "top"),
            ({"top": 10**6}, 400, "top"),
        ),
    ),
    ("POST", "/api/views/residual"): Row(
        {"run": RUN},
        (
            *VIEW_BAD,
            ({"answer": 553}, 400, "553"),
            ({"answer": -1}, 400, "answer"),
            ({"pos": 64}, 400, "64"),
            ({"pos": "x"}, 400, "pos"),
        ),
    ),
    ("POST", "/api/views/patching"): Row(
        {"run": RUN, "minus": RUN},
        (*VIEW_BAD, ({"by": HOSTILE}, 400, "by")),
    ),
    ("POST", "/api/sweeps"): Row(
        {"model": _MODEL, "task": "ioi", "n": 2, "only": {"layer": [0]}},
        (
            *_MODELS,
            ({"task": HOSTILE}, 400, "no task"),
            ({"task": None}, 400, "no clean, corrupt, answer"),
            ({"clean": _IDS}, 400, "its own prompts"),
            ({"task": None, "clean": _IDS, "corrupt": [1], "answer": 180}, 400, ""),
            ({"task": None, "clean": _IDS, "corrupt": _IDS, "answer": 553}, 400, "553"),
            ({"n": 0}, 400, "n"),
            ({"n": 513}, 400, "n"),
            ({"seed": -1}, 400, "seed"),
            ({"sites": HOSTILE}, 400, "cannot read the address"),
            ({"sites": "nowhere"}, 400, "no site"),
            ({"by": []}, 400, "by"),
            ({"by": ["luck"]}, 400, "by"),
            ({"by": ["head", "head"]}, 400, ""),
            ({"direction": "up"}, 400, "direction"),
            ({"how": "luck"}, 400, "how"),
            ({"metric": HOSTILE}, 400, "metric"),
            ({"only": {"layer": [99]}}, 400, "99"),
            ({"only": {"layer": [2**40]}}, 400, "only"),
            ({"only": {"luck": [1]}}, 400, "only"),
        ),
    ),
    ("GET", "/api/jobs"): Row({}),
    ("GET", "/api/jobs/{job}"): Row(
        {},
        url=f"/api/jobs/{JOB}",
        urls=(
            ("/api/jobs/nothing", 404),
            ("/api/jobs/..%2f..%2fetc", 404),
            (f"/api/jobs/{'x' * 65}", 400),
        ),
    ),
    ("GET", "/api/jobs/{job}/events"): Row(
        {"since": 0},
        (({"since": -1}, 400, "since"), ({"since": "x"}, 400, "since")),
        url=f"/api/jobs/{JOB}/events",
        urls=(("/api/jobs/nothing/events", 404),),
    ),
    ("DELETE", "/api/jobs/{job}"): Row(
        {},
        url=f"/api/jobs/{JOB}",
        urls=(("/api/jobs/nothing", 404), ("/api/jobs/..%2fx", 405)),
    ),
    ("GET", "/"): Row({}),
    ("GET", "/{path:path}"): Row(
        {},
        url="/nothing-here.js",
        status=404,
        urls=(
            ("/..%2f..%2fapp.py", 404),
            ("/%2e%2e/app.py", 404),
            ("/static/../../app.py", 404),
            ("/....//app.py", 404),
            ("/etc/passwd", 404),
            ("//etc/passwd", 404),
            ("/.gitkeep", 404),
            ("/assets/..%5c..%5capp.py", 404),
            ("/%00", 404),
            ("/api", 401),
        ),
    ),
}
