"""``residuum sae convert``: a dictionary as another tool's files, or as this project's."""

from __future__ import annotations

import argparse
from pathlib import Path

from residuum.apps.cli.console import put_json, put_text
from residuum.apps.cli.parser import Commands, add_command
from residuum.apps.cli.sae_evaluate import add_at

_OWN = "residuum"
_FORMATS = (
    _OWN, "saelens", "dictionary_learning", "sparsify", "gemma_scope", "gemma_scope_2",
    "circuit_tracer",
)  # fmt: skip
_DETAILS = """The format that is read is recognised by its files. What a format cannot hold is
refused; --fold moves a scale and a bias of the inputs into the weights, the same function up to
rounding.

examples:
  residuum sae convert my-sae for-saelens --to saelens --fold
  residuum sae convert theirs mine --to residuum --at L2.resid_post"""


def add(verbs: Commands) -> None:
    """Declare the verb."""
    parser = add_command(verbs, "convert", run, "write a dictionary for another tool",
                         details=_DETAILS)  # fmt: skip
    parser.add_argument("dictionary", metavar="DICTIONARY", help="folder, or name on the hub")
    parser.add_argument("folder", metavar="DIR", help="where to write")
    parser.add_argument("--to", choices=_FORMATS, required=True, help="format to write")
    parser.add_argument("--fold", action="store_true", help="fold scale and input bias")
    add_at(parser)


def run(arguments: argparse.Namespace) -> int:
    """Read, write and say what was done."""
    from residuum.dictionaries import convert_dictionary, format_of, load_dictionary

    found = format_of(arguments.dictionary)
    dictionary = load_dictionary(arguments.dictionary, at=arguments.at)
    if arguments.to == _OWN:
        dictionary.save(arguments.folder)
    else:
        convert_dictionary(
            dictionary,  # pyright: ignore[reportArgumentType] - what has several sites is refused
            arguments.folder, format=arguments.to, fold=arguments.fold,
        )  # fmt: skip
    files = sorted(each.name for each in Path(arguments.folder).iterdir() if each.is_file())
    if arguments.json:
        put_json(
            {
                "read": found, "wrote": arguments.to, "folder": arguments.folder,
                "kind": dictionary.kind, "n_latents": dictionary.n_latents, "files": files,
            }
        )  # fmt: skip
        return 0
    put_text(f"{found}: {dictionary!r}")
    print(f"\nwritten as {arguments.to}: {arguments.folder} ({', '.join(files)})")
    return 0
