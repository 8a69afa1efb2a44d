"""Write docs/finding.schema.json, the schema of ``finding.json``, from the records themselves.

Run it from the repository: ``python docs/make_finding_schema.py`` (``--check`` only compares). It
is JSON Schema, draft 2020-12: every record is closed, NaN is null, a field whose default is None
may be left out. What fields mean is taken from the records' docstrings.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from residuum.findings import Finding
from residuum.findings.finding import SCHEMA
from residuum.findings.record.plain import optional

PAGE = Path(__file__).resolve().parent / "finding.schema.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCALARS: dict[Any, dict[str, Any]] = {
    float: {"type": ["number", "null"]},
    int: {"type": "integer"},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    Any: {},
}


def main() -> int:
    """Write or compare the schema."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    options = parser.parse_args()
    new = json.dumps(schema(), ensure_ascii=False, indent=1) + "\n"
    if options.check:
        same = PAGE.exists() and PAGE.read_text(encoding="utf-8") == new
        if not same:
            print(f"docs/{PAGE.name} is out of date: run python docs/make_finding_schema.py")
        return int(not same)
    PAGE.write_text(new, encoding="utf-8")
    return 0


def schema() -> dict[str, Any]:
    """The schema of the whole file: its version, its hash and the finding."""
    records: dict[str, Any] = {}
    finding = described(Finding, records)
    return {
        "$schema": DIALECT,
        "$id": f"urn:{SCHEMA.replace('/', ':')}",
        "title": "A finding of Residuum",
        "description": "A narrow claim about one behaviour of one model, with its evidence, its "
        "controls and what would refute it. Numbers that are not known are null.",
        **closed(
            {
                "schema": {"const": SCHEMA},
                "hash": {
                    "type": "string",
                    "pattern": "^[0-9a-f]{64}$",
                    "description": "SHA-256 over the finding; a file changed by hand has another.",
                },
                "finding": finding,
            }
        ),
        "$defs": dict(sorted(records.items())),
    }


def described(kind: Any, records: dict[str, Any]) -> dict[str, Any]:
    """The schema of an annotation; records that it names are added to ``records``."""
    if is_dataclass(kind):
        return record(kind, records)
    origin, inside = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return {"anyOf": [described(inside[0], records), {"type": "null"}]}
    if origin is Literal:
        return {"enum": list(inside)}
    if origin is tuple:
        return listed(inside, records)
    if origin is dict:
        return {"type": "object", "additionalProperties": described(inside[1], records)}
    return dict(SCALARS[kind])


def listed(inside: tuple[Any, ...], records: dict[str, Any]) -> dict[str, Any]:
    """A tuple of one kind and any length, or of so many kinds."""
    if len(inside) == 2 and inside[1] is Ellipsis:
        return {"type": "array", "items": described(inside[0], records)}
    each = [described(kind, records) for kind in inside]
    return {"type": "array", "prefixItems": each, "items": False, "minItems": len(each)}


def record(kind: Any, records: dict[str, Any]) -> dict[str, Any]:
    """A reference to a record, which is written down once."""
    name = kind.__name__
    if name not in records:
        records[name] = {}  # a record may hold its own kind
        hints, said = get_type_hints(kind), meanings(kind)
        properties = {}
        for each in fields(kind):
            found = described(hints[each.name], records)
            if optional(each) and "anyOf" in found:  # left out where it is None
                found = found["anyOf"][0]
            properties[each.name] = found | said.get(each.name, {})
        missing = {each.name for each in fields(kind) if optional(each)}
        first = (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ")
        records[name] = {"description": plain(first), **closed(properties, missing)}
    return {"$ref": f"#/$defs/{name}"}


def closed(properties: dict[str, Any], missing: set[str] | None = None) -> dict[str, Any]:
    """An object with these keys and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in (missing or set())],
        "additionalProperties": False,
    }


def meanings(kind: Any) -> dict[str, dict[str, str]]:
    """What the docstring says of each attribute."""
    text = (inspect.getdoc(kind) or "").partition("Attributes:\n")[2]
    found: dict[str, dict[str, str]] = {}
    for names, words in re.findall(r"^    (\w[\w, ]*): (.*(?:\n {8}.*)*)", text, flags=re.M):
        for name in names.split(", "):
            found[name] = {"description": plain(re.sub(r"\s+", " ", words))}
    return found


def plain(text: str) -> str:
    """A docstring's words without its marks."""
    return re.sub(r":\w+:`~?([^`]+)`", r"\1", text).replace("``", "")


if __name__ == "__main__":
    raise SystemExit(main())
