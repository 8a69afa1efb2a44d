"""Models of any kind: every route and view shows something or says why not, never with a 5xx."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from fastapi.testclient import TestClient
from workbench_server import HOST, TOKEN

from residuum.apps.workbench.app import create_app
from residuum.apps.workbench.bench import Bench

sys.path.insert(0, str(Path(__file__).parents[2] / "laws"))
from law_worlds import build, word_tokenizer

IDS, OTHER = [4, 5, 7, 10, 4], [4, 6, 7, 10, 4]
SWEEPS = [
    ("z", ["layer", "head"]),
    ("resid_pre", ["layer", "pos"]),
    ("mlp_act", ["layer", "neuron"]),
]
LOOKS = [
    ("attention", {}),
    ("attention", {"layer": 0, "head": 0}),
    ("attention", {"layer": 0, "head": 99}),
    ("lens", {}),
    ("lens", {"kind": "tuned"}),
    ("lens", {"quantity": "rank", "target": 5}),
    ("lens", {"target": 99_999}),
    ("residual", {"answer": 5, "wrong": 6}),
    ("residual", {"pos": 99}),
    ("patching", {}),
]


def _mamba() -> Any:
    config = transformers.MambaConfig(
        hidden_size=32, num_hidden_layers=3, vocab_size=101, state_size=4
    )
    return transformers.MambaForCausalLM(config).eval()


def _saved(folder: Path) -> dict[str, str]:
    torch.manual_seed(0)
    models = {"ids only": build("llama"), "no tasks": build("gpt2"), "encoder": build("bert")}
    models["no blocks"] = _mamba()
    for name, hf in models.items():
        hf.save_pretrained(folder / name)
    for name in ("no tasks", "encoder"):
        word_tokenizer().save_pretrained(folder / name)
    for name in ("odd config", "cut config", "junk", "empty"):
        (folder / name).mkdir()
    (folder / "odd config/config.json").write_text('{"model_type": "llama", "hidden_size": "x"}')
    (folder / "cut config/config.json").write_text('{"model_type": "gpt2"')
    (folder / "junk/config.json").write_text('{"model_type": "gpt2"}')
    (folder / "junk/model.safetensors").write_bytes(b"junk" * 10)
    shutil.copytree(folder / "ids only", folder / "too few")
    config = folder / "too few/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"num_hidden_layers": 9}))
    return {each.name: str(each) for each in folder.iterdir()}


@dataclass(frozen=True)
class Stranger:
    """A client, and where the models are."""

    client: TestClient
    folders: dict[str, str]

    def ask(self, method: str, url: str, data: Any) -> Any:
        """An answer, or a reason; never a failure of the server."""
        kind = "params" if method == "GET" else "json"
        response = self.client.request(method, f"/api/{url}", **{kind: data})
        assert response.status_code in (200, 400), f"{url} {data}: {response.text}"
        if response.status_code == 400:
            body = response.json()
            assert body["what"] and body["mend"] and "\n" not in body["what"] + body["mend"]
            return body
        return response.json() if "json" in response.headers["content-type"] else response.content


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    folders = _saved(tmp_path_factory.mktemp("models"))
    bench = Bench(list(folders.values()), tmp_path_factory.mktemp("store"))
    client = TestClient(
        create_app(bench, TOKEN, [HOST], 8642),
        base_url=f"http://{HOST}",
        headers={"X-Residuum-Token": TOKEN},
        raise_server_exceptions=False,
    )
    yield Stranger(client, folders)
    bench.close()


@pytest.mark.parametrize("name", ["ids only", "no tasks", "encoder", "no blocks"])
def test_every_route_answers_or_says_why(stranger: Stranger, name: str) -> None:
    model, ask = stranger.folders[name], stranger.ask
    assert ask("POST", "models", {"name": model})["current"] == model
    run = ask("POST", "runs", {"model": model, "ids": IDS})["id"]
    edit = {"kind": "zero", "at": "L1.resid_post@-1"}
    minus = ask("POST", "runs", {"model": model, "ids": OTHER, "edits": [edit]})["id"]
    for view, params in LOOKS:
        for against in (None, minus):
            ask("POST", f"views/{view}", {"run": run, "minus": against, **params})
    for view in ("attention", "lens", "residual", "patching"):
        ask("POST", "runs", {"model": model, "ids": IDS[::-1], "views": [view]})
        ask("POST", "python", {"run": run, "a": minus, "view": view})
    for text in ("the cat sat", "unheard of"):
        ask("POST", "tokens", {"model": model, "text": text})
        ask("POST", "runs", {"model": model, "text": text})
    ask("GET", "tokens/search", {"model": model, "query": "ca"})
    for at in ("L0.z[H1]", "L0.z[H99]", "L0.resid_post@-1", "L0.mlp_act[N9999]", "resid_post"):
        ask("POST", "values", {"from": "run", "run": run, "at": at})
        ask("POST", "edits/check", {"model": model, "ids": IDS, "edits": [{**edit, "at": at}]})
    ask("POST", "values", {"from": "mean", "model": model, "task": "ioi", "at": "L0.z"})
    ask("POST", "values", {"from": "unembed", "model": model, "tokens": [3, 4]})
    ask("POST", "tasks/pairs", {"model": model, "task": "ioi"})
    ask("POST", "sweeps", {"model": model, "task": "ioi"})


@pytest.mark.parametrize("name", ["ids only", "no tasks", "encoder", "no blocks"])
def test_sweeps_that_are_taken_end_well(stranger: Stranger, name: str) -> None:
    model = stranger.folders[name]
    stranger.ask("POST", "models", {"name": model})
    pair = {"model": model, "clean": IDS, "corrupt": OTHER, "answer": 8, "wrong": 7}
    for sites, by in SWEEPS:
        told = stranger.ask("POST", "sweeps", {**pair, "sites": sites, "by": by})
        if "job" not in told:
            assert name == "no blocks" and sites != "resid_pre" and "not available" in told["what"]
            continue
        events = stranger.client.get(f"/api/jobs/{told['job']}/events").text.splitlines()
        assert json.loads(events[-1])["type"] == "done", events[-1]


@pytest.mark.parametrize(
    ("name", "why"),
    [("ids only", "tokenizer"), ("no tasks", "vocabulary"), ("no blocks", "tokenizer")],
)
def test_no_tasks_and_no_examples_have_a_reason(stranger: Stranger, name: str, why: str) -> None:
    model = stranger.folders[name]
    stranger.ask("POST", "models", {"name": model})
    told = stranger.ask("GET", "tasks", {"model": model})
    assert told["tasks"] == [] and all(why in each for each in told["refused"].values())
    assert "ioi" in told["refused"]
    assert stranger.ask("GET", "examples", {"model": model}) == {"examples": []}


def test_an_encoder_gets_no_example_of_the_next_token(stranger: Stranger) -> None:
    model = stranger.folders["encoder"]
    stranger.ask("POST", "models", {"name": model})
    assert stranger.ask("GET", "examples", {"model": model}) == {"examples": []}


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("empty", "holds no model"),
        ("cut config", "not a valid JSON"),
        ("junk", "not safetensors"),
        ("too few", "lacks weights"),
        ("odd config", "expected int, got str"),
    ],
)
def test_what_is_no_model_says_why_everywhere(stranger: Stranger, name: str, what: str) -> None:
    model, ask = stranger.folders[name], stranger.ask
    told = ask("POST", "models", {"name": model})
    assert what in told["what"], told
    same = [
        ask("POST", "tokens", {"model": model, "text": "x"}),
        ask("POST", "runs", {"model": model, "ids": IDS}),
        ask("GET", "tasks", {"model": model}),
        ask("GET", "examples", {"model": model}),
    ]
    assert {each["what"] for each in same} == {told["what"]}
    infos = ask("GET", "models", {})["models"]
    assert next(each for each in infos if each["name"] == model)["failure"]["what"] == told["what"]
