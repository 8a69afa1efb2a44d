"""``residuum circuit``: found, judged, tried, named and converted; refusals in two lines."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import handmade
import pytest

import residuum as rz
from residuum.circuits import circuit_from_edges, graph_of

Cli = Callable[..., Any]
FIND = ("circuit", "find", "microworld", "--task", "ioi", "--method", "eap", "--n", "32")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from residuum.apps.cli import main

    path = tmp_path_factory.mktemp("circuit") / "ioi.json"
    assert main([*FIND, "--edges", "60", "--out", str(path), "--json"]) == 0
    return path


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The hand-set induction model's circuit and its task, as files."""
    from residuum.apps.cli import main

    folder = tmp_path_factory.mktemp("handmade")
    task, circuit = folder / "task.json", folder / "circuit.json"
    handmade.induction_task(32).save(task)
    find = ("circuit", "find", "handmade_induction", "--task", str(task), "--method", "exact")
    assert main([*find, "--edges", "3", "--out", str(circuit), "--json"]) == 0
    return str(circuit), str(task)


def ran(found: Path, verb: str, *more: str) -> tuple[str, ...]:
    return ("circuit", verb, "microworld", str(found), "--task", "ioi", "--n", "32", *more)


def words(done: Any) -> str:
    """What was written, whatever the lines."""
    return " ".join(done.out.split())


@pytest.fixture
def narrow(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line on a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments: str) -> Any:
        done = cli(*arguments)
        if "--json" not in arguments:
            wide = [line for line in done.out.splitlines() if len(line) > 80]
            assert not [line for line in wide if "written:" not in line], wide
        return done

    return call


@pytest.mark.parametrize("verb", ["evaluate", "stability", "rivals", "damage"])
def test_what_a_verb_asks_ends_in_one_mark(
    cli: Cli, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli("circuit", verb, "--help")
    assert "?\n" in (help := capsys.readouterr().out) and "?." not in help


def test_a_circuit_is_found_and_written_in_every_format(narrow: Cli, tmp_path: Path) -> None:
    names = ("c.json", "c.mib.json", "c.graphml", "c.csv", "c.html", "c.svg", "c.png")
    out = [word for name in names for word in ("--out", str(tmp_path / name))]
    done = narrow(*FIND, "--edges", "40", "--verify", "10", "--sample", "5", *out)
    assert done.code == 0 and not done.err
    assert "40 of 1,519 edges" in done.out and "L3.mlp_out" in done.out
    assert "10 edges measured exactly" in done.out and "first half of the templates" in words(done)
    assert all((tmp_path / name).stat().st_size > 500 for name in names)


def test_json_is_the_circuit(cli: Cli) -> None:
    from residuum.circuits import Circuit

    done = cli(*FIND, "--share", "0.02", "--how", "top", "--by", "signed", "--json")
    circuit = Circuit.from_json(done.json)
    assert circuit.n_edges == round(0.02 * 1519) and circuit.selection["by"] == "signed"
    assert not done.err


@pytest.mark.parametrize(
    ("method", "name"),
    [(("eap-ig", "--steps", "2"), "EAPIG"), (("atp",), "AtPStar"), (("flow",), "InformationFlow")],
)
def test_methods(cli: Cli, method: tuple[str, ...], name: str) -> None:
    done = cli("circuit", "find", "microworld", "--task", "ioi", "--n", "16", "--edges", "9",
               "--method", *method, "--json")  # fmt: skip
    assert done.json["scores"]["method"]["name"] == name


def test_methods_that_choose_their_own_size(cli: Cli, by_hand: tuple[str, str]) -> None:
    for method in ("paths", "acdc"):
        done = cli("circuit", "find", "handmade_induction", "--task", by_hand[1],
                   "--method", method, "--threshold", "0.05", "--json")  # fmt: skip
        assert len(done.json["kept"]) == 3, method


@pytest.mark.parametrize("method", ["mask", "joint-mask"])
def test_masks_are_trained_towards_the_size_asked_for(
    cli: Cli, by_hand: tuple[str, str], method: str
) -> None:
    find = ("circuit", "find", "handmade_induction", "--task", by_hand[1], "--method", method)
    done = cli(*find, "--edges", "5", "--steps", "4", "--json")
    assert len(done.json["kept"]) == 5 and done.json["scores"]["method"]["steps"] == 4
    cli(*find, "--how", "top").refused(
        "--how, --by and --prune would do nothing", "--edges or --share"
    )


def test_by_position(narrow: Cli) -> None:
    done = narrow(*FIND, "--edges", "20", "--by-position")
    assert "positions  IO, S1, place, S2, gift, S1+1, end, rest" in done.out
    assert "20 of 10,073 edges" in done.out


def test_it_is_judged_on_the_other_half(narrow: Cli, found: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.svg"
    done = narrow(*ran(found, "evaluate", "--subsets", "2", "--out", str(out)))
    assert done.code == 0 and "second half of the templates" in words(done)
    assert "found on" not in done.out, "held out"
    assert "Faithfulness" in done.out and "CMD absolute" in done.out and out.stat().st_size > 500
    first = done.out.split("Shares of the way")[0]
    rows = {line.split()[0]: line.split() for line in first.splitlines() if line.strip()}
    assert float(rows["counterfactual"][1]) > 0.9 > 0.5 > float(rows["zero"][1])


def test_judged_on_its_own_pairs_is_said(cli: Cli, found: Path) -> None:
    done = cli(*ran(found, "evaluate", "--half", "first", "--reference", "mean", "--sizes", "none",
                    "--subsets", "0"))  # fmt: skip
    assert "note: 21 of 21 prompts are those that the circuit was found on" in words(done)
    tables = done.out.split("note:")[0]
    assert "CPR" not in tables and "template_mean" not in tables and "mean" in tables


def test_a_true_circuit_passes_its_trial(narrow: Cli, by_hand: tuple[str, str]) -> None:
    done = narrow("circuit", "trial", "handmade_induction", by_hand[0], "--task", by_hand[1],
                  "--reference", "counterfactual", "--outside")  # fmt: skip
    assert done.code == 0 and not done.err
    assert "Verdict: PASSES. Found on other prompts" in done.out
    assert done.out.count("holds") >= 5 and "FAILS" not in done.out


def test_a_circuit_without_the_head_fails(
    cli: Cli, by_hand: tuple[str, str], tmp_path: Path
) -> None:
    import residuum as rz

    edges = ("embed -> L0.v_in[H1]", "L0.head_out[H1] -> L1.k_in[H1]", "L1.head_out[H1] -> logits")
    path = tmp_path / "wrong.json"
    model = rz.load("handmade_induction")
    provenance = model.provenance(strategy="by hand")
    rz.circuit_from_edges(rz.graph_of(model), edges, provenance=provenance).save(path)
    done = cli("circuit", "trial", "handmade_induction", str(path), "--task", by_hand[1],
               "--reference", "counterfactual", "--outside")  # fmt: skip
    done.refused("the circuit fails the trial: equivalence (counterfactual)", "--require", code=1)
    assert "FAILS" in done.out


def test_its_own_prompts_are_refused(cli: Cli, by_hand: tuple[str, str]) -> None:
    trial = ("circuit", "trial", "handmade_induction", by_hand[0], "--task", by_hand[1],
             "--reference", "counterfactual", "--half", "first", "--outside")  # fmt: skip
    cli(*trial).refused("prompts are those that the circuit was found on", "half")
    done = cli(*trial, "--same-prompts")
    assert done.code == 0 and "PASSES, NOT HELD OUT" in done.out


def test_parts_are_named(narrow: Cli, by_hand: tuple[str, str], tmp_path: Path) -> None:
    out = tmp_path / "roles.html"
    roles = ("circuit", "roles", "handmade_induction", by_hand[0], "--task", by_hand[1])
    done = narrow(*roles, "--evidence", "--out", str(out))
    rows = [line.split()[:2] for line in done.out.splitlines()]
    assert ["L0H2", "previous-token"] in rows and ["L1H1", "induction"] in rows
    assert "counts through L1.k_in[H1] +2" in done.out and out.stat().st_size > 500
    told = narrow(*roles, "--json").json
    assert [each["names"] for each in told["parts"]] == [["previous-token"], ["induction"]]


def test_roles_of_ioi_fit_the_terminal(narrow: Cli, found: Path) -> None:
    done = narrow("circuit", "roles", "microworld", str(found), "--task", "ioi", "--seed", "1")
    assert done.code == 0 and "name mover" in done.out and "Unknown: " in done.out
    assert "Wrong again: a wrong answer's later occurrence." in words(done)


def test_a_file_is_shown_and_converted(narrow: Cli, found: Path, tmp_path: Path) -> None:
    from residuum.circuits import load_circuit

    shown = narrow("circuit", "show", str(found), "--top", "3")
    assert "model     microworld" in shown.out and "57 more edges" in shown.out
    mib, back, graph = (str(tmp_path / name) for name in ("c.mib.json", "b.json", "c.graphml"))
    assert narrow("circuit", "convert", str(found), mib, "--model", "microworld").code == 0
    assert json.loads(Path(mib).read_text())["cfg"]["d_model"] == 128
    assert narrow("circuit", "convert", mib, back, "--model", "microworld").code == 0
    assert narrow("circuit", "convert", str(found), graph, "--json").json["edges"] == 60
    edges = set(load_circuit(found).edge_names)
    assert set(load_circuit(back).edge_names) == set(load_circuit(graph).edge_names) == edges
    assert "60 of 1,519 edges" in narrow("circuit", "show", graph).out


def test_stability(narrow: Cli, by_hand: tuple[str, str], tmp_path: Path) -> None:
    circuit, task = by_hand
    ask = ("circuit", "stability", "handmade_induction", circuit, "--task", task)
    out = tmp_path / "stability.json"
    done = narrow(*ask, "--out", str(out))
    assert done.code == 0 and "The bar is reached." in done.out and "scores drawn" in words(done)
    assert json.loads(out.read_text())["groups"]["prompts"]["n"] == 100
    each = narrow(*ask, "--each", "--samples", "2", "--seeds", "1,2", "--method", "eap", "--json")
    assert each.json["how"] == "discovery on each sample" and each.json["groups"]["seeds"]["n"] == 2
    narrow(*ask, "--half", "second").refused("the circuit was found on task", "rz.discover")
    narrow(*ask, "--seeds", "one").refused("no list of whole numbers", "1,2,3")


def test_rivals(narrow: Cli, by_hand: tuple[str, str], tmp_path: Path) -> None:
    circuit, task = by_hand
    ask = ("circuit", "rivals", "handmade_induction", circuit, "--task", task)
    out = tmp_path / "rivals.csv"
    done = narrow(*ask, "--out", str(out))
    assert done.code == 0 and "0 rivals among 5 candidates of 3 edges" in done.out
    assert "scores × 0.5" in done.out and "the circuit" in out.read_text()
    seeded = narrow(*ask, "--seeds", "1,2", "--json")
    assert [each["origin"] for each in seeded.json["candidates"]][-2:] == ["seed 1", "seed 2"]
    narrow(*ask, "--method", "eap").refused("--method would do nothing", "--seeds")
    narrow(*ask, "--tolerance", "3").refused("tolerance=3")


def test_damage(narrow: Cli, by_hand: tuple[str, str], tmp_path: Path) -> None:
    circuit, task = by_hand
    ask = ("circuit", "damage", "handmade_induction", f"task={circuit}", f"other={circuit}")
    pairs = ("--task", task, "--reference", "counterfactual")
    done = narrow(*ask, *pairs, "--random", "3", "--out", str(tmp_path / "damage.svg"))
    assert done.code == 0 and "without" in done.out and "1.00" in done.out
    assert "worst: median and largest" in words(done)
    data = narrow(*ask, *pairs, "--json").json
    assert [each["circuit"] for each in data["cells"]] == ["task", "other"]
    narrow(*ask, *pairs, "--outside").refused("--outside would do nothing", "--random")
    narrow(*ask[:3], circuit, circuit, *pairs).refused("two circuits named 'circuit'", "TASK=FILE")
    narrow(*ask, *pairs, "--text", "none.txt").refused("--text none.txt cannot be read")


def test_two_circuits_that_dissociate_or_not(narrow: Cli, by_hand: tuple[str, str]) -> None:
    """The same circuit for two tasks: harm on both, and no more on its own."""
    circuit, task = by_hand
    second = str(Path(task).with_name("again.json"))
    handmade.induction_task(32, 7).save(second)
    done = narrow("circuit", "damage", "handmade_induction", f"task={circuit}", f"again={circuit}",
                  "--task", task, "--task", second, "--reference", "counterfactual")  # fmt: skip
    assert "task and again do not dissociate doubly" in done.out


def test_a_method_that_the_file_does_not_tell(cli: Cli, by_hand: tuple[str, str]) -> None:
    from residuum.circuits import load_circuit

    circuit, task = by_hand
    path = str(Path(circuit).with_name("named.json"))
    graph = graph_of(rz.load("handmade_induction"))
    circuit_from_edges(graph, load_circuit(circuit).edge_names).save(path)
    ask = ("circuit", "stability", "handmade_induction", path)
    cli(*ask, "--task", task).refused("is not told: it cannot be run again", "--method")


def test_what_cannot_be_written_is_refused_before_any_work(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("residuum.apps.cli.circuit_find.open_model", lambda _: 1 / 0)
    out = ("--out", str(tmp_path / "a.json"), "--out", str(tmp_path / "b.mib.json"))
    cli(*FIND, "--by-position", *out).refused("the MIB layout holds no positions", ".graphml")
    cli(*FIND, "--out", "c.gexf").refused("cannot write 'c.gexf'", ".mib.json, .graphml")


def test_of_a_null_task_nothing_is_found(cli: Cli, tmp_path: Path) -> None:
    task, path = handmade.induction_task(8), tmp_path / "null.json"
    dataclasses.replace(task, corrupt=task.clean).save(path)
    done = cli("circuit", "find", "handmade_induction", "--task", str(path), "--half", "all",
               "--method", "eap", "--edges", "4")  # fmt: skip
    assert "no edge of it has a score above rounding: nothing was found" in words(done)


def test_bad_input(cli: Cli, found: Path, tmp_path: Path) -> None:
    cli(*FIND, "--steps", "3").refused("--steps would do nothing", "eap-ig")
    cli(*FIND, "--threshold", "0").refused("--threshold would do nothing", "paths")
    cli(*FIND, "--sample", "3").refused("--sample would do nothing", "--verify")
    cli(*FIND, "--edges", "3", "--share", "0.1").refused("both given", "one of them")
    cli(*FIND, "--share", "2").refused("no share", "0 to 1")
    cli(*FIND, "--out", "circuit.doc").refused("cannot write", ".graphml")
    cli(*FIND[:4], "love").refused("love")
    cli("circuit", "find", "microworld").refused("--task")
    cli("circuit", "hunt").refused("no verb 'hunt'", "find")
    cli("circuit", "show", "none.json").refused("no such file", "save")
    cli("circuit", "show", str(tmp_path / "x.mib.json")).refused("MIB", "convert")
    cli("circuit", "convert", "x.mib.json", "y.json").refused("MIB", "--model")
    cli(*ran(found, "evaluate", "--sizes", "big")).refused("no list of shares", "0.02")
    cli(*ran(found, "roles", "--least-effect", "2")).refused("least_effect", "between 0 and 1")
    cli(*ran(found, "trial", "--random", "5")).refused("5 random circuits", "n_random")
    other = ("circuit", "roles", "handmade_induction", str(found), "--task", "ioi")
    cli(*other).refused("the circuit is of microworld", "discover")


def test_an_edited_file_is_refused(cli: Cli, found: Path, tmp_path: Path) -> None:
    data = json.loads(found.read_text())
    data["kept"] = data["kept"][:-1]
    edited = tmp_path / "edited.json"
    edited.write_text(json.dumps(data))
    cli("circuit", "show", str(edited)).refused("changed after it was written", "find")
    cli(*ran(edited, "evaluate")).refused("changed after it was written")


def test_one_pair_has_no_halves(cli: Cli, by_hand: tuple[str, str]) -> None:
    find = ("circuit", "find", "handmade_induction", "--task", by_hand[1], "--n", "1")
    cli(*find).refused("no two halves", "--half all")
    assert cli(*find, "--half", "all", "--method", "exact", "--edges", "3").code == 0
