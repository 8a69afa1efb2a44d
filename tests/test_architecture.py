"""Laws that the layers contract cannot say: circles, heavy imports, the public face."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

import residuum

SOURCE = Path(__file__).resolve().parent.parent / "src"
PACKAGE = SOURCE / "residuum"


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("residuum", include_external_packages=True, cache_dir=None)


def circles(imports: dict[str, set[str]]) -> list[set[str]]:
    """Groups of modules that import each other in a loop (Tarjan, without recursion limits)."""
    order: list[str] = []
    seen: set[str] = set()

    def visit(start: str, edges: dict[str, set[str]], out: list[str]) -> None:
        stack = [(start, iter(sorted(edges.get(start, ()))))]
        seen.add(start)
        while stack:
            node, rest = stack[-1]
            for each in rest:
                if each not in seen:
                    seen.add(each)
                    stack.append((each, iter(sorted(edges.get(each, ())))))
                    break
            else:
                stack.pop()
                out.append(node)

    for module in sorted(imports):
        if module not in seen:
            visit(module, imports, order)
    back: dict[str, set[str]] = {}
    for module, targets in imports.items():
        for each in targets:
            back.setdefault(each, set()).add(module)
    seen.clear()
    groups: list[set[str]] = []
    for module in reversed(order):
        if module not in seen:
            group: list[str] = []
            visit(module, back, group)
            groups.append(set(group))
    return [group for group in groups if len(group) > 1]


def internal(graph: grimp.ImportGraph) -> dict[str, set[str]]:
    modules = {each for each in graph.modules if each.split(".")[0] == "residuum"}
    # The lazy face imports from every room; nobody may import from it, and so it is in no circle.
    return {each: graph.find_modules_directly_imported_by(each) & modules for each in modules}


def test_circle_finder_finds_a_circle() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == [{"b", "c"}]
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []


def test_no_import_circle_at_any_depth(graph: grimp.ImportGraph) -> None:
    assert circles(internal(graph)) == []


def test_nobody_imports_the_public_face_from_below(graph: grimp.ImportGraph) -> None:
    importers = graph.find_modules_that_directly_import("residuum")
    above = {each for each in importers if each.startswith("residuum.apps")}
    assert importers - above - {"residuum"} == set()


def importers_of(graph: grimp.ImportGraph, package: str) -> set[str]:
    if package not in graph.modules:
        return set()
    return {".".join(m.split(".")[:2]) for m in graph.find_modules_that_directly_import(package)}


def test_only_models_imports_transformers(graph: grimp.ImportGraph) -> None:
    assert importers_of(graph, "transformers") <= {"residuum.models"}


@pytest.mark.parametrize("room", ["core", "worlds", "figures"])
def test_torch_stays_out_of(room: str, graph: grimp.ImportGraph) -> None:
    assert f"residuum.{room}" not in importers_of(graph, "torch")


def heavy_at_the_top(text: str) -> list[str]:
    """torch or transformers imported when the module is, and not first inside a function."""
    found = []
    pending: list[ast.AST] = list(ast.parse(text).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        found += [name for name in names if name.split(".")[0] in ("torch", "transformers")]
        pending += ast.iter_child_nodes(node)
    return found


def test_stores_import_torch_inside_functions_only() -> None:
    assert heavy_at_the_top("import torch\ndef f():\n    import transformers") == ["torch"]
    texts = {path: path.read_text() for path in sorted((PACKAGE / "stores").rglob("*.py"))}
    assert texts
    assert {path.name: found for path, t in texts.items() if (found := heavy_at_the_top(t))} == {}


def python(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def test_import_loads_neither_torch_nor_transformers() -> None:
    heavy = "{'torch', 'transformers', 'numpy', 'pandas', 'xarray', 'matplotlib'}"
    assert python(f"import sys, residuum; print(sorted({heavy} & set(sys.modules)))") == "[]\n"


def test_import_takes_less_than_300_ms() -> None:
    code = "import time; t = time.perf_counter(); import residuum; print(time.perf_counter() - t)"
    assert min(float(python(code)) for _ in range(5)) < 0.3


def test_public_names_resolve() -> None:
    names = residuum.__all__
    assert names
    assert sorted(set(names)) == sorted(names)
    missing = [name for name in names if getattr(residuum, name, None) is None]
    assert missing == []
    assert set(names) <= set(dir(residuum))


def test_the_stub_ships_and_says_where_every_name_lives() -> None:
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text())
    imports = [each for each in stub.body if isinstance(each, ast.ImportFrom)]
    public = [alias.name for each in imports for alias in each.names if alias.asname]
    assert sorted([*public, "task", "__version__"]) == sorted(residuum.__all__)
    assert residuum.task is residuum.runs.make_task


def test_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = residuum.no_such_name  # type: ignore[attr-defined]
