"""``residuum sae compare``: what several trainings find again, and whether that matters more."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from residuum.apps.cli.console import progress_for, put_facts, put_json, put_text
from residuum.apps.cli.lens import check_suffix
from residuum.apps.cli.loading import open_model
from residuum.apps.cli.parser import Commands, add_command, add_loading, add_seed, counted
from residuum.apps.cli.sae_text import HELP, open_text
from residuum.core import OptionError

if TYPE_CHECKING:
    from residuum.dictionaries import Stability

SUFFIXES = (".html", ".svg", ".png", ".json", ".csv")
_DETAILS = """Latents of each two dictionaries are paired one to one, by encoders and by decoders
(above 4,096 latents as mutual nearest neighbours; the table says which). Chance is the second
dictionary turned at random, and its coordinates dealt out anew. With --model and --text each latent
is also taken out where it is active: do those found again matter more?

examples:
  residuum sae compare sae-0 sae-1 sae-2
  residuum sae compare sae-0 sae-1 --model microworld --text microworld:1 --tokens 4000"""


def add(verbs: Commands) -> None:
    """Declare the verb."""
    parser = add_command(
        verbs, "compare", run, "what several trainings find again", details=_DETAILS
    )
    parser.add_argument(
        "dictionaries", nargs="+", metavar="DICTIONARY", help="folders, two or more"
    )
    parser.add_argument("--model", metavar="MODEL", help="name or folder; with --text")
    parser.add_argument("--text", metavar="TEXT", help=HELP)
    parser.add_argument("--tokens", type=counted, help="tokens of the text (default: all)")
    parser.add_argument("--threshold", type=float, default=0.7, help="least cosine (default: 0.7)")
    parser.add_argument("--out", metavar="FILE", help=f"also write {', '.join(SUFFIXES)}")
    add_seed(parser, "chance and intervals")
    add_loading(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compare and show."""
    if arguments.out:
        check_suffix(arguments.out, SUFFIXES)
    if (arguments.model is None) != (arguments.text is None):
        raise OptionError("--model and --text go together", mend="give both, or neither")
    if arguments.tokens is not None and arguments.text is None:
        raise OptionError("--tokens goes with --text", mend="leave it out")
    text = None if arguments.text is None else open_text(arguments.text)
    from residuum.dictionaries import dictionary_stability, load_dictionary

    found = [load_dictionary(each) for each in arguments.dictionaries]
    model = None if arguments.model is None else open_model(arguments)
    stability = dictionary_stability(
        found, model, text, threshold=arguments.threshold, tokens=arguments.tokens,
        seed=arguments.seed, progress=progress_for(arguments),
    )  # fmt: skip
    if arguments.out:
        stability.save(arguments.out)
    if arguments.json:
        put_json(stability.to_json())
        return 0
    put_facts(_facts(stability))
    put_text(
        "\nFound again: the encoder and the decoder have the same partner in the other dictionary, "
        f"and their mean cosine is {stability.threshold:g} or more."
    )
    if arguments.out:
        print(f"\nwritten: {arguments.out}")
    return 0


def _facts(found: Stability) -> list[tuple[str, str]]:
    low, high = found.pair_range
    facts = [
        ("dictionaries", f"{len(found.n_latents)} of {', '.join(found.sites)}"),
        ("found again", f"{found.found_share} of the latents; pairs {low:.3f} to {high:.3f}"),
        ("paired by", " and ".join(each.replace("_", " ") for each in found.matching)),
        ("turned at random", f"{found.null_rotated}"),
        ("dealt out anew", f"{found.null_permuted}"),
    ]
    names = {
        "all": "matter more", "frequency": "at like frequency", "activity": "at like activity",
    }  # fmt: skip
    return facts + [
        (
            names.get(name, name),
            f"by {each} nats a token (n {found.matters_n[name]})"
            if found.matters_n[name]
            else "no latents to compare",
        )
        for name, each in found.matters.items()
    ]
