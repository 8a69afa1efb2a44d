"""``residuum sae train``: train a sparse dictionary on a model's activations."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from residuum.apps.cli.console import progress_for, put_facts, put_json, put_text
from residuum.apps.cli.loading import headline, open_model
from residuum.apps.cli.parser import Commands, add_command, add_loading, add_seed, counted
from residuum.apps.cli.sae_progress import training_progress
from residuum.apps.cli.sae_text import add_text, open_text, options_of
from residuum.core import OptionError

if TYPE_CHECKING:
    from residuum.dictionaries import CoderPlan, Training
    from residuum.dictionaries.harvests.sources import ActivationSource
    from residuum.runs import Model

ACTIVATIONS = ("topk", "batchtopk", "relu", "jumprelu", "gated")
_PENALISED = ("relu", "jumprelu", "gated")
_DETAILS = """Runs the model over the text, stops after the last site, and trains as it goes; with
--harvest the activations are kept on disk first, which pays from the third epoch on. With --keep
the same command goes on where it was interrupted and ends with the same weights, bit by bit.

--at SITE                    a sparse autoencoder
--at SITE --to SITE          a transcoder; --skip adds a linear path
--at SITE SITE ...           a crosscoder

examples:
  residuum sae train microworld microworld --at L2.resid_post --out my-sae
  residuum sae train microworld microworld --at L2.ln2 --to L2.mlp_out --skip --out my-transcoder
  residuum sae train microworld texts.txt --at L2.resid_post --activation jumprelu --l0 16 \\
      --out my-jumprelu"""


def add(verbs: Commands) -> None:
    """Declare the verb."""
    parser = add_command(verbs, "train", run, "train a dictionary", details=_DETAILS)
    parser.add_argument("model", metavar="MODEL", help="name or folder")
    add_text(parser)
    parser.add_argument("--at", nargs="+", required=True, metavar="SITE", help="what it reads")
    parser.add_argument("--to", nargs="+", metavar="SITE", help="what it writes (default: --at)")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the dictionary")
    parser.add_argument("--latents", type=counted, help="how many (default: 8 times the width)")
    parser.add_argument("--activation", choices=ACTIVATIONS, default="topk", help="default: topk")
    parser.add_argument("--k", type=counted, help="active latents of topk, batchtopk (default: 16)")
    parser.add_argument(
        "--l0", type=float, help="active latents aimed at, of relu, jumprelu, gated (default: 16)"
    )
    parser.add_argument(
        "--prefixes", type=counted, nargs="+", metavar="N",
        help="Matryoshka: first latents that must do alone",
    )  # fmt: skip
    parser.add_argument("--skip", action="store_true", help="a linear path beside the latents")
    parser.add_argument(
        "--samples", type=counted, default=500_000, help="tokens trained on (default: 500,000)"
    )
    parser.add_argument("--batch-size", type=counted, default=1024, help="(default: 1024)")
    parser.add_argument("--lr", type=float, default=1e-3, help="of Adam (default: 0.001)")
    parser.add_argument(
        "--aux-k", type=int, default=None, metavar="N",
        help="dead latents that learn from the error left (default: half the width)",
    )  # fmt: skip
    parser.add_argument("--harvest", metavar="DIR", help="keep the activations there; resumes")
    parser.add_argument("--keep", metavar="DIR", help="keep checkpoints there; resumes")
    parser.add_argument(
        "--workers", type=counted, default=1, metavar="N",
        help="processes that share every batch (default: 1)",
    )  # fmt: skip
    add_seed(parser, "weights and order")
    add_loading(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train, write and show."""
    _refuse_idle(arguments)
    text = open_text(arguments.text)
    out = _make(arguments.out)
    from residuum.dictionaries import Adam, train_dictionary

    model = open_model(arguments)
    source = _source(arguments, model, text)
    options: dict[str, Any] = {}
    if arguments.activation in _PENALISED:
        options["target_l0"] = 16.0 if arguments.l0 is None else arguments.l0
    training = train_dictionary(
        source, plan=_plan(arguments, source), samples=arguments.samples,
        batch_size=arguments.batch_size, optimiser=Adam(arguments.lr), keep=arguments.keep,
        seed=arguments.seed, device=arguments.device or "cpu",
        workers=arguments.workers, progress=training_progress(arguments), **options,
    )  # fmt: skip
    training.save(out)
    if arguments.json:
        put_json(_data(training, out))
        return 0
    put_text(headline(model))
    print()
    put_facts(_facts(training))
    put_text("\nOn training samples; residuum sae evaluate judges it on other text.")
    print(f"\nwritten: {out}")
    return 0


def _refuse_idle(arguments: argparse.Namespace) -> None:
    """Options that would do nothing."""
    penalised = arguments.activation in _PENALISED
    if arguments.k is not None and penalised:
        raise OptionError(f"{arguments.activation} has no k", mend="use --l0")
    if arguments.l0 is not None and not penalised:
        raise OptionError(f"{arguments.activation} aims at no L0", mend="use --k")
    if arguments.skip and arguments.to is None:
        raise OptionError("--skip is of transcoders", mend="add --to SITE")
    if arguments.lr <= 0:
        raise OptionError(f"--lr {arguments.lr:g} is out of range", mend="use 0.001")


def _make(name: str) -> Path:
    """The folder to write to, made before minutes of training.

    Raises:
        OptionError: it cannot be made, not be written to, or holds a dictionary.
    """
    out = Path(name)
    try:
        out.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(out, os.W_OK) else "it is read-only"
    except FileExistsError:
        reason = "there is a file of that name"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise OptionError(f"cannot make the folder {out}: {reason}", mend="--out another one")
    if (out / "dictionary.json").exists():
        raise OptionError(f"{out} holds a dictionary already", mend="--out another one")
    return out


def _source(arguments: argparse.Namespace, model: Model, text: Any) -> ActivationSource:
    from residuum.dictionaries import harvest, live_source

    sites: list[str] = list(dict.fromkeys([*arguments.at, *(arguments.to or [])]))
    options = options_of(arguments)
    if arguments.harvest is None:
        return live_source(model, text, sites, seed=arguments.seed, **options)
    found = harvest(
        model, text, sites, keep=arguments.harvest, progress=progress_for(arguments), **options
    )
    return found.source(seed=arguments.seed)


def _plan(arguments: argparse.Namespace, source: ActivationSource) -> CoderPlan:
    import residuum.dictionaries as rd

    width = source.widths[0]
    k = arguments.k or 16
    activation, penalty = {
        "topk": lambda: (rd.TopK(k), None),
        "batchtopk": lambda: (rd.BatchTopK(k), None),
        "relu": lambda: (rd.ReLU(), rd.L1()),
        "jumprelu": lambda: (rd.JumpReLU(), rd.L0Step()),
        "gated": lambda: (rd.Gated(), rd.L1()),
    }[arguments.activation]()
    return rd.CoderPlan(
        reads=tuple(arguments.at),  # pyright: ignore[reportArgumentType] - text is parsed
        writes=tuple(arguments.to) if arguments.to else None,  # pyright: ignore
        width=width, n_latents=arguments.latents or 8 * width, activation=activation,
        penalty=penalty, prefixes=tuple(arguments.prefixes or ()), skip=arguments.skip,
        aux_k=width // 2 if arguments.aux_k is None else arguments.aux_k,
        dead_after=max(1, min(1_000_000, arguments.samples // 10)),
    )  # fmt: skip


def _facts(training: Training) -> list[tuple[str, str]]:
    dictionary, last = training.dictionary, training.curve.last()
    places = [", ".join(map(str, each)) for each in (dictionary.reads, dictionary.writes)]
    return [
        ("kind", dictionary.kind.replace("_", " ")),
        ("sites", places[0] if places[0] == places[1] else f"{places[0]} to {places[1]}"),
        ("latents", str(dictionary.n_latents)),
        ("L0", f"{last['l0']:.2f}"),
        ("explained variance", f"{last['explained_variance']:.4f}"),
        ("dead", f"{last['dead_share']:.1%}"),
    ]


def _data(training: Training, out: Path) -> dict[str, Any]:
    data = training.to_json()
    return {"out": str(out), "kind": training.dictionary.kind, "last": training.curve.last(),
            **{name: data[name] for name in ("record", "curve", "provenance")}}  # fmt: skip
