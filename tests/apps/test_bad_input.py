"""Bad input: exit code 2 and two lines, what and how to mend it; never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]


RUN = ("run", "microworld")


@pytest.mark.parametrize(
    ("arguments", "what", "mend"),
    [
        (("invesitgate",), "no command 'invesitgate'", "did you mean investigate?"),
        (("run",), "the following arguments are required: MODEL, PROMPT", "--help"),
        ((*RUN, "Mary", "--nonsense"), "unrecognized arguments: --nonsense", "--help"),
        ((*RUN, "Mary", "--top", "x"), "invalid whole number from 1 value: 'x'", "--help"),
        ((*RUN, "Mary", "--top", "9999"), "--top 9999 is out of range", "use 1 to"),
        ((*RUN, "Mary", "--dtype", "int4"), "--dtype cannot be 'int4'", "float32"),
        ((*RUN, "Mary", "--device", "nowhere"), "device 'nowhere' cannot be used", "cpu"),
        ((*RUN, "Mary xylophone"), "xylophone", ""),
        ((*RUN, "1 two", "--ids"), "not token ids", "numbers"),
        ((*RUN, "Mary", "--edit", "erase L0.z"), "the edit 'erase' needs tensors", "zero"),
        ((*RUN, "Mary", "--edit", "blow L0.z"), "the edit 'blow' is not known", "zero"),
        ((*RUN, "Mary", "--edit", "scale L0.z"), "cannot read the edit", "scale ADDRESS FACTOR"),
        ((*RUN, "Mary", "--edit", "scale L0.z much"), "not a number", "0.5"),
        ((*RUN, "Mary", "--edit", "{kind"), "the edit is not JSON", "zero"),
        ((*RUN, "Mary", "--edit", "zero L9.z"), "layer 9 is out of range", "L0 to L3"),
        ((*RUN, "Mary", "--edit", "zero L0.zz"), "no site named 'zz'", "sites are"),
        ((*RUN, "Mary", "--capture", "L0.z[H99]"), "head 99 is out of range", "0 to 7"),
        (("lens", "microworld", "Mary", "--out", "x.doc"), "cannot write 'x.doc'", ".html"),
        (("patch", "microworld", "--task", "nothing"), "no task 'nothing'", "ioi"),
        (("patch", "microworld", "--task", "none.csv"), "no file 'none.csv'", ""),
        (("patch", "microworld", "--task", "ioi", "--by", "head"), "cannot sweep z", "layer"),
        (("patch", "microworld", "--task", "ioi", "--metric", "x"), "no metric 'x'", "logit_diff"),
        ((*RUN, "Mary", "--temperature", "1"), "nothing without --generate", "--generate N"),
        ((*RUN, "Mary", "--seed", "1"), "--seed does nothing without --generate", "--generate N"),
        ((*RUN, "Mary", "--generate", "2", "--temperature", "-1"), "-1 is out of range", "above 0"),
        (("patch", "microworld", "--task", "ioi", "--by", ""), "names no axis", "layer,head"),
        (("tasks", "ioi"), "is a task's name", "residuum tasks show ioi"),
        (("tasks", "fact"), "resembles a task's name", "residuum tasks show facts"),
        (("tasks", "show"), "tasks show takes one name", "ioi"),
        (("tasks", "a", "b"), "cannot be read as 'a b'", "tasks show"),
        (("models", "microworld"), "cannot be read as 'microworld'", "models show"),
        (("doctor", "no/such/folder"), "no/such/folder", ""),
        (("replay", "none.json"), "cannot read a finding", "finding.json"),
        (("investigate", "--model", "microworld"), "arguments are required: --task", "--help"),
        (("investigate", "--model", "microworld", "--task", "io"), "no task 'io'", "ioi"),
        (("investigate", "--model", "microworld", "--task", "ioi", "--budget", "big"),
         "--budget cannot be 'big'", "quick"),
    ],
    ids=lambda value: " ".join(value)[-40:] if isinstance(value, tuple) else "",
)  # fmt: skip
def test_two_lines(cli: Cli, arguments: tuple[str, ...], what: str, mend: str) -> None:
    done = cli(*arguments)
    done.refused(what, mend)
    assert not done.out


def test_an_edited_finding_that_is_none(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "finding.json").write_text("[1]")
    cli("replay", str(tmp_path)).refused("not a finding", "investigate")
    (tmp_path / "finding.json").write_text("{")
    cli("replay", str(tmp_path)).refused("not JSON", "investigate")


def test_a_folder_that_cannot_be_written(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = cli(
        "investigate", "--model", "microworld", "--task", "ioi", "--out", str(tmp_path / "file")
    )
    assert done.code == 2 and "mend" in done.err


@pytest.mark.parametrize("command", ["heads", "lens"])
@pytest.mark.parametrize(
    ("content", "what"), [(b"\xff\xfe\x00", "is no UTF-8 text"), (None, "no file")]
)
def test_text_files_that_are_none(
    cli: Cli, tmp_path: Path, command: str, content: bytes | None, what: str
) -> None:
    texts = tmp_path / "texts.txt"
    if content is not None:
        texts.write_bytes(content)
    options = {
        "heads": ("--text", str(texts)),
        "lens": ("--kind", "tuned", "--lens", str(tmp_path / "lens"), "--train", str(texts)),
    }
    cli(command, "microworld", *options[command]).refused(what, "give a text file")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs /proc")
def test_a_file_that_cannot_be_read_is_not_called_unwritable(cli: Cli) -> None:
    cli("heads", "microworld", "--text", "/proc/self/mem").refused("cannot read '/proc/self/mem'")


def test_more_than_memory(cli: Cli) -> None:
    done = cli("heads", "microworld", "--n", "10000000000000", "--removal", "none")
    done.refused("does not fit into memory", "fewer")


@pytest.mark.parametrize("command", ["heads", "lens"])
@pytest.mark.parametrize("name", ["superposition", "induction_1l"])
def test_organisms_that_are_no_models_say_what_they_are(cli: Cli, command: str, name: str) -> None:
    prompt = ("Mary",) if command == "lens" else ()
    done = cli(command, name, *prompt)
    done.refused(f"{name} is no model to load", f"residuum organisms show {name}")


def test_a_tuned_lens_of_another_model(cli: Cli, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("Mary and John went to the store .\n" * 4)
    lens = ("--kind", "tuned", "--lens", str(tmp_path / "lens"))
    trained = cli("lens", "microworld", *lens, "--train", str(texts), "--steps", "2")
    assert trained.code == 0, trained.err
    other = cli("lens", "microworld-trigger", "Mary went", *lens)
    other.refused("trained on another model (microworld)", "train one for this model")


def test_microworld_is_shown_where_models_are(cli: Cli) -> None:
    cli("organisms", "show", "microworld").refused("'microworld'", "residuum models show")
    cli("organisms", "train", "microworld").refused("'microworld'", "residuum.apps.train")
