"""``residuum investigate`` with pairs of token ids; ``residuum examine`` of what is stated."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from known_halves import permuted_letters

import residuum as rz
from residuum.findings import Finding

Cli = Callable[..., Any]
CORE = ("--stages", "none")


@pytest.fixture(scope="module")
def indhead(test_data: Path) -> str:
    """A folder of weights under foreign names, without configuration and without tokenizer."""
    return str(test_data / "gbmi_indhead")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Repeated letters as token ids, one pair a line."""
    task = permuted_letters()
    parts = [getattr(task, name).tolist() for name in ("clean", "corrupt", "answers", "wrong")]
    names = ("clean", "corrupt", "answers", "wrong")
    rows = [json.dumps(dict(zip(names, row, strict=True))) for row in zip(*parts, strict=True)]
    file = tmp_path_factory.mktemp("ids") / "letters.jsonl"
    file.write_text("\n".join(rows))
    return str(file)


def test_from_weights_and_ids_to_a_finding_that_replays(
    cli: Cli, indhead: str, pairs: str, tmp_path: Path
) -> None:
    out = str(tmp_path / "out")
    done = cli("investigate", "--model", indhead, "--task", pairs, "--out", out)
    assert done.code == 0 and done.out.startswith("SUPPORTED: "), done
    found = Finding.load(out)
    assert set(found.components) == {"L0.z[H0]", "L1.z[H0]"} and found.task["name"] == "letters"
    assert "L0.H0" in found.claim and "feeds the keys of L1.H0" in found.claim
    assert "not testable" in found.claim
    again = cli("replay", out)
    assert again.code == 0 and " 0 values differ" in again.out


def test_a_circuit_and_a_direction_from_files(
    cli: Cli, indhead: str, pairs: str, tmp_path: Path
) -> None:
    circuit = str(tmp_path / "circuit.json")
    assert cli("circuit", "find", indhead, "--task", pairs, "--edges", "4",
               "--out", circuit).code == 0  # fmt: skip
    asked = ("--model", indhead, "--task", pairs, *CORE)
    done = cli("examine", *asked, "--circuit", circuit, "--out", str(tmp_path / "c"))
    assert done.code == 0 and Finding.load(tmp_path / "c").kind == "circuit"
    task = rz.Task.from_pairs(pairs)
    direction = tmp_path / "direction.json"
    found = rz.direction(rz.load(indhead), task[40:], at="L1.resid_post", prove=False)
    found.save(direction)  # proven on other pairs than it was found on
    task[:40].save(tmp_path / "others.json")
    asked = ("--model", indhead, "--task", str(tmp_path / "others.json"), *CORE)
    done = cli("examine", *asked, "--direction", str(direction), "--out", str(tmp_path / "d"))
    assert done.code == 0 and Finding.load(tmp_path / "d").kind == "direction"
    done = cli("examine", *asked, "--finding", str(tmp_path / "d"), "--json")
    assert done.code == 0 and done.json["finding"]["origin"] == "given"


def test_parts_and_words_for_the_claim(cli: Cli, tmp_path: Path) -> None:
    asked = ("--model", "microworld", "--task", "refusal", *CORE, "--parts", "L0.z[H2]")
    done = cli("examine", *asked, "--claim", "One head.", "--out", str(tmp_path))
    assert done.code == 0 and done.out.startswith("SUPPORTED: One head.")
    assert "How the status was decided" in done.out
    found = Finding.load(tmp_path)
    assert found.origin == "given" and found.claim_built and "head L0.H2" in found.claim_built


@pytest.mark.parametrize(
    ("stated", "what", "mend"),
    [
        ((), "one of the arguments --parts --circuit --direction --finding is required", "--help"),
        (("--parts", "L0.z[H0]", "--circuit", "c"), "not allowed with argument --parts", "--help"),
        (("--parts",), "expected at least one argument", "--help"),
        (("--parts", "L9.z[H0]"), "layer 9 is out of range", "L0 to L3"),
        (("--parts", "L0.z[H9]"), "head 9 is out of range", "0 to 7"),
        (("--parts", "L0.resid_post"), "neither a head nor an MLP", "L2.z[H3]"),
        (("--parts", "L0.z[H0]", "L0.z[H0]"), "named twice", "once"),
        (("--circuit", "none.json"), "none.json", ""),
        (("--direction", "none.json"), "none.json", ""),
        (("--finding", "none.json"), "cannot read a finding", "finding.json"),
        (("--parts", "L0.z[H0]", "--also", "gone"), "gone", ""),
        (("--parts", "L0.z[H0]", "--also", "superposition"), "is no model to load", "organisms"),
        (("--parts", "L0.z[H0]", "--stages", "magic"), "no further stage 'magic'", "circuit"),
        (("--parts", "L0.z[H0]", "--claim", " "), "--claim: invalid paragraph of text", "--help"),
    ],
)
def test_refused_with_nothing_written(
    cli: Cli, monkeypatch: Any, tmp_path: Path, stated: tuple[str, ...], what: str, mend: str
) -> None:
    monkeypatch.chdir(tmp_path)
    stages = () if "--stages" in stated else CORE
    done = cli("examine", "--model", "microworld", "--task", "ioi", *stages, *stated,
               "--out", "out")  # fmt: skip
    done.refused(what, mend)
    assert not done.out and not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["{", "{}", "[1]"])
@pytest.mark.parametrize("kind", ["circuit", "direction", "finding"])
def test_files_that_hold_no_mechanism(cli: Cli, tmp_path: Path, kind: str, text: str) -> None:
    path = tmp_path / "m.json"
    path.write_text(text)
    out = tmp_path / "out"
    cli("examine", "--model", "microworld", "--task", "ioi", f"--{kind}", str(path),
        "--out", str(out)).refused(f"a {kind}")  # fmt: skip
    assert not out.exists()


@pytest.mark.parametrize("verb", ["investigate", "examine"])
def test_pairs_that_do_not_fit(
    cli: Cli, indhead: str, pairs: str, tmp_path: Path, verb: str
) -> None:
    stated = ("--parts", "L1.z[H0]") if verb == "examine" else ()
    rows = Path(pairs).read_text().splitlines()
    (tmp_path / "far.jsonl").write_text(rows[0].replace("[12,", "[99,", 1) + "\n" + rows[1])
    (tmp_path / "few.jsonl").write_text("\n".join(rows[:7]))
    (tmp_path / "names.jsonl").write_text(json.dumps({"x": [1], "y": [2]}))
    (tmp_path / "words.jsonl").write_text(
        json.dumps({"clean": "a b", "corrupt": "c b", "answers": "a", "wrong": "c"})
    )
    out = tmp_path / "out"
    for name, what, mend in (
        ("far.jsonl", "token id 99 is outside the vocabulary of 26", "mend these rows"),
        ("few.jsonl", "7 pairs are too few", "at least 8"),
        ("names.jsonl", "no column for clean", "name the columns clean, corrupt, answers"),
        ("words.jsonl", "has no tokenizer", "give token ids"),
        ("none.jsonl", "no file", "a task's name"),
    ):
        done = cli(verb, "--model", indhead, "--task", str(tmp_path / name), *stated,
                   "--out", str(out))  # fmt: skip
        done.refused(what, mend)
    cli(verb, "--model", indhead, "--task", "ioi", *stated).refused("tokenizer", "ids")
    assert not out.exists()
