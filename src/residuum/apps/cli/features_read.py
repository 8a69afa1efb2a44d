"""``residuum features read``: one pass over text for all latents at once, kept in a folder."""

from __future__ import annotations

import argparse
from typing import Any

from residuum.apps.cli.console import progress_for, put_json, put_text
from residuum.apps.cli.loading import headline, open_model
from residuum.apps.cli.parser import Commands, add_command, add_loading
from residuum.apps.cli.sae_evaluate import add_at
from residuum.apps.cli.sae_text import add_text, open_text, options_of

_DETAILS = """Gathers examples, histograms, effects on logits and company of every latent. With
--keep the same command goes on where it was interrupted.

example:
  residuum features read microworld my-sae microworld:1 --out my-reading"""


def add(verbs: Commands) -> None:
    """Declare the verb."""
    parser = add_command(verbs, "read", run, "read all latents in one pass", details=_DETAILS)
    parser.add_argument("model", metavar="MODEL", help="name or folder")
    parser.add_argument("dictionary", metavar="DICTIONARY", help="folder, or name on the hub")
    add_text(parser)
    add_at(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the reading")
    parser.add_argument("--keep", metavar="DIR", help="keep the state of the pass there; resumes")
    parser.add_argument("--no-check", action="store_true", help="read it though it does not fit")
    add_loading(parser)


def run(arguments: argparse.Namespace) -> int:
    """Read, write and say what was done."""
    text = open_text(arguments.text)
    from residuum.dictionaries import load_dictionary, read_features

    model = open_model(arguments)
    dictionary = load_dictionary(
        arguments.dictionary, model, arguments.at, check=not arguments.no_check
    )
    reading = read_features(
        dictionary, model, text, keep=arguments.keep, progress=progress_for(arguments),
        **options_of(arguments),
    )  # fmt: skip
    reading.save(arguments.out)
    if arguments.json:
        put_json(_data(reading, arguments.out))
        return 0
    put_text(f"{headline(model)}\n{reading!r}")
    print(f"\nwritten: {arguments.out}")
    return 0


def _data(reading: Any, out: str) -> dict[str, Any]:
    return {
        "out": out, "n_latents": reading.n_latents, "n_tokens": reading.n_tokens,
        "never_active": int((reading.density == 0).sum()),
        "provenance": reading.provenance.to_json(),
    }  # fmt: skip
