"""``residuum sae``: dictionaries trained, judged and converted; errors in two lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from label_server import LabelServer

Cli = Callable[..., Any]
TRAIN = ("sae", "train", "microworld", "microworld", "--at", "L2.resid_post", "--tokens", "3000")
SMALL = ("--latents", "128", "--samples", "8192", "--batch-size", "256")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from residuum.apps.cli import main

    folder = tmp_path_factory.mktemp("dictionary")
    assert main([*TRAIN, *SMALL, "--k", "8", "--out", str(folder), "--json"]) == 0
    return folder


def test_a_training_is_written_with_its_figures(trained: Path) -> None:
    from residuum.dictionaries import load_dictionary

    dictionary = load_dictionary(trained)
    assert dictionary.n_latents == 128 and str(dictionary.reads[0]) == "L2.resid_post"
    assert json.loads((trained / "training.json").read_text())["curve"]
    assert dictionary.declared["l0"] == pytest.approx(8, abs=0.2)


def test_a_dictionary_is_not_written_over(cli: Cli, trained: Path) -> None:
    before = (trained / "dictionary.json").read_bytes()
    refused = cli(*TRAIN, *SMALL, "--out", str(trained))
    assert refused.code == 2 and "holds a dictionary already" in refused.err
    assert (trained / "dictionary.json").read_bytes() == before


def test_lines_with_figures_and_time_left(cli: Cli, tmp_path: Path) -> None:
    done = cli(*TRAIN, *SMALL, "--out", str(tmp_path / "made"))
    assert done.code == 0 and "explained variance" in done.out
    assert "s left" in done.err and "dead" in done.err and len(done.err.splitlines()) <= 10


def test_the_same_command_goes_on_and_ends_alike(cli: Cli, tmp_path: Path) -> None:
    kept = ("--keep", str(tmp_path / "kept"), "--harvest", str(tmp_path / "acts"))
    for name in ("one", "two"):
        done = cli(*TRAIN, *SMALL, *kept, "--out", str(tmp_path / name), "--json")
        assert done.json["last"]["step"] == 32
    from residuum.dictionaries import load_dictionary

    one, two = (load_dictionary(tmp_path / name).tensors() for name in ("one", "two"))
    assert one and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        (("--activation", "jumprelu", "--l0", "8"), "sae"),
        (("--to", "L2.mlp_out", "--skip"), "skip_transcoder"),
        (("--at", "L1.resid_post", "L2.resid_post", "--prefixes", "32"), "crosscoder"),
    ],
    ids=["jumprelu", "skip transcoder", "crosscoder"],
)
def test_kinds(cli: Cli, tmp_path: Path, more: tuple[str, ...], kind: str) -> None:
    done = cli(*TRAIN, *SMALL, *more, "--out", str(tmp_path), "--json")
    assert done.code == 0 and done.json["kind"] == kind


def test_a_dictionary_is_judged(cli: Cli, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.svg"
    judge = ("sae", "evaluate", "microworld", str(trained), "microworld:1", "--tokens", "1500")
    found = cli(*judge, "--json", "--out", str(out)).json
    assert found["loss_recovered_zero_frac"]["value"] > 0.5 and out.stat().st_size > 500
    shown = cli(*judge)
    assert shown.code == 0 and "loss recovered mean" in shown.out


def test_a_dictionary_on_the_wrong_tensor_is_a_failed_check(cli: Cli, trained: Path) -> None:
    import residuum as rz
    from residuum.dictionaries import load_dictionary

    moved = trained.parent / "moved"
    rz.convert_dictionary(load_dictionary(trained), moved, format="sparsify", fold=True)
    judge = ("sae", "evaluate", "microworld", str(moved), "microworld:1", "--tokens", "3000")
    done = cli(*judge, "--at", "L0.resid_post")
    done.refused("does not fit L0.resid_post", code=1)
    assert cli(*judge, "--at", "L0.resid_post", "--no-check").code == 0


def test_the_help_says_which_exit_code_a_dictionary_that_does_not_fit_has(
    cli: Cli, trained: Path
) -> None:
    """The other half is the test above."""
    with pytest.raises(SystemExit) as ended:
        cli("sae", "evaluate", "--help")
    assert ended.value.code == 0
    other = cli("sae", "evaluate", "microworld-trigger", str(trained), "microworld:1")
    other.refused("trained on other weights", code=2)
    from residuum.apps.cli import sae_evaluate

    words = " ".join(sae_evaluate._DETAILS.split())
    assert "does not fit its site there is a failed check (exit code 1)" in words
    assert "one of other weights, or of a site that the model lacks, is bad input (exit" in words


def test_a_dictionary_goes_to_another_tool_and_back(cli: Cli, trained: Path, tmp_path) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    found = cli("sae", "convert", str(trained), str(there), "--to", "saelens", "--fold", "--json")
    assert found.json["read"] == "residuum" and "cfg.json" in found.json["files"]
    done = cli("sae", "convert", str(there), str(back), "--to", "residuum")
    assert done.code == 0 and "saelens" in done.out and (back / "dictionary.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "what", "mend"),
    [
        (("sae", "trian"), "residuum sae has no verb 'trian'", "did you mean train?"),
        (("sae", "train", "microworld", "x.txt", "--at", "L1.resid_post", "--out", "o"),
         "'x.txt' is no text", "microworld:1"),
        ((*TRAIN, "--out", "o", "--activation", "relu", "--k", "4"), "relu has no k", "--l0"),
        ((*TRAIN, "--out", "o", "--l0", "4"), "topk aims at no L0", "--k"),
        ((*TRAIN, "--out", "o", "--skip"), "--skip is of transcoders", "--to"),
        ((*TRAIN, "--out", "/dev/null/x"), "cannot make the folder", "--out"),
        ((*TRAIN, "--out", "o", "--lr", "-1"), "--lr -1 is out of range", "0.001"),
        (("sae", "evaluate", "microworld", "nowhere", "microworld"), "no dictionary at", ""),
        (("sae", "convert", "nowhere", "x", "--to", "saelens"), "no dictionary at", ""),
        (("sae", "convert", "nowhere", "x", "--to", "gguf"), "cannot be 'gguf'", "saelens"),
    ],
    ids=lambda value: " ".join(value)[-40:] if isinstance(value, tuple) else "",
)  # fmt: skip
def test_two_lines(
    cli: Cli, tmp_path: Path, monkeypatch, arguments: tuple[str, ...], what: str, mend: str
) -> None:
    monkeypatch.chdir(tmp_path)
    cli(*arguments).refused(what, mend)


def test_without_a_verb_there_is_help(cli: Cli) -> None:
    done = cli("sae")
    assert done.code == 0 and "train" in done.out and "evaluate" in done.out


def test_two_trainings_are_compared(cli: Cli, trained: Path, tmp_path: Path) -> None:
    other, out = tmp_path / "other", tmp_path / "stability.csv"
    cli(*TRAIN, *SMALL, "--k", "8", "--seed", "1", "--out", str(other), "--json")
    compare = ("sae", "compare", str(trained), str(other))
    found = cli(*compare, "--json", "--out", str(out)).json
    assert found["found_share"]["value"] < 0.9 and out.stat().st_size > 500
    cli("sae", "compare", str(trained), str(trained)).refused("0 and 1 (counted from 0) are ident")
    done = cli(*compare)
    assert done.code == 0 and "turned at random" in done.out
    cli(*compare, "--model", "microworld").refused("go together", "both")
    cli("sae", "compare", str(trained)).refused("dictionaries= holds 1", "several seeds")
    with_text = ("--model", "microworld", "--text", "microworld:1", "--tokens", "400")
    matters = cli(*compare, *with_text, "--json").json["matters"]
    assert {"all", "frequency", "activity"} <= set(matters)
    done = cli(*compare, *with_text)
    assert done.code == 0 and "matter more" in done.out and "nats a token" in done.out


LABEL = ("sae", "label", "microworld")
LABELLED = ("microworld:1", "--tokens", "3000", "--latents", "1", "2", "3", "--no-check")


def test_latents_are_labelled_and_labels_judged(cli: Cli, trained: Path, tmp_path: Path) -> None:
    from residuum.dictionaries import load_dictionary

    out, into = tmp_path / "labels.csv", tmp_path / "labelled"
    command = (*LABEL, str(trained), *LABELLED, "--out", str(out), "--into", str(into))
    done = cli(*command)
    assert done.code == 0 and "fuzzing control" in done.out
    assert "detection_control" in out.read_text()
    labels = load_dictionary(into).labels
    assert labels and set(labels) <= {1, 2, 3}
    assert cli(*LABEL, str(trained), *LABELLED, "--json").json


def test_an_endpoint_is_not_asked_before_its_cost_is_agreed_to(
    cli: Cli, trained, monkeypatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "unused")
    asked = ("--endpoint", "http://127.0.0.1:9/v1", "--name", "model", "--price", "1", "5")
    done = cli(*LABEL, str(trained), *LABELLED, "--json", *asked)
    done.refused("labelling takes about", "--yes")
    assert "calls" in done.err and "USD" in done.err
    done = cli(*LABEL, str(trained), *LABELLED, *asked, "--max-cost", "0.000001")
    done.refused("beyond max_cost", "fewer latents")
    cli(*LABEL, str(trained), *LABELLED, "--yes").refused("--yes goes with", "leave --yes out")
    cli(*LABEL, str(trained), *LABELLED, *asked[:2]).refused("needs a model", "--name")


def test_an_endpoint_labels_through_the_command_line(
    cli: Cli, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A local server that reads the examples; what is kept is not asked for again."""
    pytest.importorskip("openai")
    from residuum.dictionaries import load_dictionary

    monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-this-test")
    keep, out, into = tmp_path / "answers.jsonl", tmp_path / "labels.json", tmp_path / "labelled"
    with LabelServer().running() as server:
        asked = ("--endpoint", server.url, "--name", "rule", "--price", "1", "5", "--yes")
        files = ("--keep", str(keep), "--out", str(out), "--into", str(into))
        done = cli(*LABEL, str(trained), *LABELLED, *asked, *files)
        assert done.code == 0 and "fuzzing control" in done.out, done
        calls = len(server.paid)
        assert calls and set(server.keys) == {"Bearer a-key-of-this-test"}
        assert all(each["model"] == "rule" for each in server.paid)
        again = cli(*LABEL, str(trained), *LABELLED, *asked, "--keep", str(keep), "--json").json
        assert len(server.paid) == calls
    written = json.loads(out.read_text())
    assert written["found"] == again["found"] and len(written["found"]) == 3
    labels = load_dictionary(into).labels
    assert labels and all(words.startswith("on '") for words in labels.values())
    keyless = cli(*LABEL, str(trained), *LABELLED, *asked, "--key-env", "NO_SUCH_VARIABLE")
    assert keyless.code == 2 and "NO_SUCH_VARIABLE holds no key" in keyless.err
