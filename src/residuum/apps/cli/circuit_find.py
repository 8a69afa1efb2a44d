"""``residuum circuit find``: the edges of a model that carry a behaviour."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from residuum.apps.cli.circuit_options import (
    CIRCUITS,
    add_out,
    add_pairs,
    check_out,
    half_line,
    is_mib,
    open_pairs,
    told_written,
    written,
)
from residuum.apps.cli.console import progress_for, put_json, put_text
from residuum.apps.cli.loading import headline, open_model
from residuum.apps.cli.parser import Commands, add_command, counted
from residuum.core import OptionError

if TYPE_CHECKING:
    from residuum.circuits import Discovery

REFERENCES = ("zero", "mean", "template_mean", "resample", "counterfactual")
METHODS = {
    "eap": "first order, at the clean run (4 passes)",
    "eap-ig": "the same along the way from the reference (default)",
    "eap-ig-activations": "the same layer by layer",
    "atp": "attribution patching with the softmax exact (AtP*)",
    "exact": "every edge measured",
    "acdc": "edges tried one after the other (--threshold)",
    "paths": "measured from the logits backward (--threshold)",
    "mask": "gates trained towards a size (--edges or --share)",
    "joint-mask": "the same under counterfactual and mean in turn",
    "flow": "share of the stream, clean prompts alone; no sign",
}
_MASKS = ("mask", "joint-mask")
_STEPS = ("eap-ig", "eap-ig-activations", *_MASKS)
_THRESHOLD = ("acdc", "paths")
_DETAILS = (
    "Scores every edge by what is lost when it carries its reference value (positive: it supports\n"
    "the behaviour), and keeps the best. --method is one of:\n"
    + "\n".join(f"  {name:<20}{about}" for name, about in METHODS.items())
    + "\n\nexample:\n  residuum circuit find microworld --task ioi --edges 60 --verify 60 "
    "--out ioi.json"
)


def add(verbs: Commands) -> None:
    """Declare the verb."""
    parser = add_command(verbs, "find", run, "find the edges that carry a behaviour",
                         details=_DETAILS)  # fmt: skip
    parser.add_argument("model", metavar="MODEL", help="name or folder")
    add_pairs(parser, "first")
    search = parser.add_argument_group("how edges are scored")
    search.add_argument("--method", choices=tuple(METHODS), default="eap-ig", help="see above")
    search.add_argument("--steps", type=counted, help="of eap-ig (5), of masks (200; joint 300)")
    search.add_argument("--threshold", type=float, help="of acdc (0.1) and paths (0.02)")
    search.add_argument(
        "--reference", choices=REFERENCES, default="counterfactual",
        help="what an edge outside the circuit carries (default: counterfactual)",
    )  # fmt: skip
    search.add_argument(
        "--by-position", action="store_true", help="an edge for each position that the task names"
    )
    search.add_argument("--verify", type=counted, metavar="N", help="measure the best N exactly")
    search.add_argument(
        "--sample", type=counted, metavar="N", help="and N others, to say what is left open"
    )
    chosen = parser.add_argument_group("which edges are kept")
    chosen.add_argument("--edges", type=counted, metavar="N", help="so many")
    chosen.add_argument("--share", type=float, help="this share of all (default: 0.1)")
    chosen.add_argument(
        "--how", choices=("greedy", "top"), help="grown from the logits backward (default), or "
        "the largest wherever they are",
    )  # fmt: skip
    chosen.add_argument(
        "--by", choices=("absolute", "signed"), help="largest by size (default), or by sign too"
    )
    chosen.add_argument(
        "--prune", choices=("none", "unread", "both"), help="drop dangling edges (default: none)"
    )
    add_out(parser, CIRCUITS)


def run(arguments: argparse.Namespace) -> int:
    """Find and show."""
    check_out(arguments, CIRCUITS)
    _refuse_idle(arguments)
    _refuse_positions(arguments)
    model = open_model(arguments)
    task, _ = open_pairs(arguments, model)
    from residuum.circuits import discover, graph_of

    circuit = discover(
        model, task, method_named(arguments),
        n_edges=arguments.edges, share=arguments.share, reference=arguments.reference,
        graph=graph_of(model, task, by_position=True) if arguments.by_position else None,
        metric=arguments.metric, verify=arguments.verify or 0, sample=arguments.sample,
        seed=arguments.seed, max_memory=arguments.max_memory, progress=progress_for(arguments),
        **_selection(arguments),
    )  # fmt: skip
    written(arguments, circuit)
    if arguments.json:
        put_json(circuit.to_json())
        return 0
    from residuum.apps.cli.circuit_view import show_circuit

    put_text(f"{headline(model)}\n{half_line(arguments, task)}")
    print()
    show_circuit(circuit)
    told_written(arguments)
    return 0


def method_named(arguments: argparse.Namespace) -> Discovery:
    """The method with its options."""
    from residuum import circuits as room

    steps, threshold = arguments.steps, arguments.threshold
    size = (arguments.edges, _share(arguments))
    made: dict[str, Any] = {
        "eap": room.EAP,
        "eap-ig": lambda: room.EAPIG(steps or 5),
        "eap-ig-activations": lambda: room.EAPIG(steps or 5, "activations"),
        "atp": room.AtPStar,
        "exact": room.ExactEdges,
        "acdc": lambda: room.ACDC(0.1 if threshold is None else threshold),
        "paths": lambda: room.PathSearch(0.02 if threshold is None else threshold),
        "mask": lambda: room.LearnedMask(*size, steps=steps or 200),
        "joint-mask": lambda: room.JointMask(*size, steps=steps or 300),
        "flow": room.InformationFlow,
    }
    return made[arguments.method]()


def _share(arguments: argparse.Namespace) -> float | None:
    """Share that masks are trained towards; a tenth where no size was given."""
    return arguments.share if arguments.share or arguments.edges else 0.1


def _selection(arguments: argparse.Namespace) -> dict[str, str]:
    """Options of the selection that were given."""
    given = {name: getattr(arguments, name) for name in ("how", "by", "prune")}
    return {name: value for name, value in given.items() if value is not None}


def _refuse_positions(arguments: argparse.Namespace) -> None:
    """Refuse a file that cannot hold positions, before any work is done."""
    flat = [path for path in arguments.out if is_mib(path)]
    if arguments.by_position and flat:
        raise OptionError(
            f"cannot write {flat[0]}: the MIB layout holds no positions",
            mend="leave --by-position out, or write .json or .graphml",
        )


def _refuse_idle(arguments: argparse.Namespace) -> None:
    """Refuse options that would do nothing beside the others."""
    method = arguments.method
    own_size = method in (*_THRESHOLD, *_MASKS) and not (arguments.edges or arguments.share)
    selected = _selection(arguments)
    for given, name, serves, fits in (
        (arguments.steps, "--steps", _STEPS, method in _STEPS),
        (arguments.threshold, "--threshold", _THRESHOLD, method in _THRESHOLD),
        (arguments.sample, "--sample", ("--verify",), bool(arguments.verify)),
        (selected, "--how, --by and --prune", ("--edges or --share",), not own_size),
    ):
        if given not in (None, {}) and not fits:
            raise OptionError(
                f"{name} would do nothing with --method {method} as asked",
                mend=f"leave it out, or use it with {', '.join(serves)}",
            )
