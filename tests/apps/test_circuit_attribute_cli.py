"""``residuum circuit attribute``: traced, shown, written, tried; refusals in two lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

Cli = Callable[..., Any]
PROMPT = "The capital of France is"


def coder(layer: int, latents: int = 48, reads: str = "ln2", writes: str = "mlp_out") -> Any:
    from residuum.dictionaries import Dictionary, TopK

    made = torch.Generator().manual_seed(layer)
    return Dictionary(
        f"L{layer}.{reads}", f"L{layer}.{writes}",
        W_enc=torch.randn(1, 128, latents, generator=made),
        W_dec=torch.randn(latents, 1, 128, generator=made) * 0.02,
        b_dec=torch.zeros(1, 128), b_enc=torch.zeros(latents), activation=TopK(6),
    )  # fmt: skip


@pytest.fixture(scope="module")
def coders(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("coders")
    for layer in range(4):
        coder(layer).save(folder / str(layer))
    return [str(folder / str(layer)) for layer in range(4)]


def attribute(*more: str) -> tuple[str, ...]:
    return ("circuit", "attribute", "microworld", PROMPT, *more)


def test_a_graph_is_shown_and_written_in_every_format(
    cli: Cli, coders: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from residuum.circuits import load_attribution_graph

    monkeypatch.setenv("COLUMNS", "80")
    names = ("g.json", "g.csv", "g.html", "g.svg", "g.png")
    out = [word for name in names for word in ("--out", str(tmp_path / name))]
    viewer = tmp_path / "viewer.json"
    done = cli(
        *attribute(*coders, "--answer", "Paris", "--top", "5", *out, "--viewer", str(viewer))
    )
    assert done.code == 0 and not done.err
    lines = done.out.split("written:")[0].splitlines()
    assert not [line for line in lines if len(line) > 80], lines
    graph = load_attribution_graph(tmp_path / "g.json")
    assert f"{graph.scores.replacement:.2f} ({graph.pruned_scores.replacement:.2f}" in done.out
    assert "'Paris'" in done.out and f"of {graph.n_active} active features" in done.out
    assert f"{len(graph.edges) - 5:,} more edges" in done.out
    assert sum("embed@" in line or "mlp_out@" in line or "ln2/" in line for line in lines) == 5
    assert all((tmp_path / name).stat().st_size > 500 for name in names)
    assert set(json.loads(viewer.read_text())) == {"metadata", "qParams", "nodes", "links"}
    assert done.out.rstrip().endswith("viewer.json")


def test_json_is_the_graph_with_its_test(cli: Cli, coders: list[str]) -> None:
    from residuum.circuits import AttributionGraph

    done = cli(*attribute(coders[1], "--answer", "Paris", "--answer", "Rome", "--json"))
    graph = AttributionGraph.from_json(done.json)
    assert [each.words for each in graph.nodes if each.kind == "logit"] == ["'Paris'", "'Rome'"]
    assert any("no transcoder for L0, L2, L3" in each for each in graph.warnings)
    done = cli(*attribute(*coders, "--nodes", "0.99", "--test", "2", "--json"))
    assert done.json["test"]["draws"] == 99 and len(done.json["test"]["sources"]) == 2


def test_a_lead_is_one_target_and_the_test_is_told(cli: Cli, coders: list[str]) -> None:
    done = cli(*attribute(*coders, "--answer", "Paris", "--wrong", "Rome", "--nodes", "0.99",
                          "--all-tokens", "--test", "3"))  # fmt: skip
    assert "'Paris' - 'Rome'" in done.out and "EdgeTest(3 features" in done.out
    assert "skip=" not in done.out


def test_refusals(cli: Cli, coders: list[str], tmp_path: Path) -> None:
    cli(*attribute(*coders, "--wrong", "Paris")).refused("--wrong needs one --answer")
    cli(*attribute(*coders, "--answer", "a", "--wrong", "a")).refused("--wrong needs one --answer")
    cli(*attribute(coders[0], coders[0])).refused("is of layer 0, as another one is")
    cli(*attribute(str(tmp_path))).refused("", code=2)
    cli(*attribute(*coders, "--answer", "Parisian")).refused("Parisian")
    cli(*attribute(*coders, "--nodes", "1.5")).refused("node_threshold=1.5 is no share")
    cli(*attribute(*coders, "--out", "g.pdf")).refused("cannot write 'g.pdf'", ".svg")
    cli(*attribute(*coders, "--viewer", "g.html")).refused("cannot write 'g.html'", ".json")
    cli("circuit", "attribute", "microworld", "", *coders).refused("")
    coder(1, reads="resid_post", writes="resid_post").save(tmp_path / "sae")
    cli(*attribute(str(tmp_path / "sae"))).refused("is an sae of L1.resid_post, no transcoder")
