"""``residuum circuit attribute``: which transcoder features brought about one prompt's answer."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from residuum.apps.cli.circuit_options import RESULTS, add_out, check_out, told_written
from residuum.apps.cli.circuit_view import fitted
from residuum.apps.cli.console import progress_for, put_facts, put_json, put_table, put_text
from residuum.apps.cli.lens import check_suffix
from residuum.apps.cli.loading import headline, open_model
from residuum.apps.cli.parser import Commands, add_command, counted, seeded
from residuum.core import OptionError

if TYPE_CHECKING:
    from residuum.circuits import AttributionGraph
    from residuum.figures import Table
    from residuum.runs import Model

_DETAILS = """MLPs are replaced by transcoders, patterns and norms stay as they were in this run,
and what the transcoders do not rebuild is an error. Then everything is linear: what flows into a
feature, or into the answer's logit, sums to its value.

--test N takes N features out of the real model, with nothing frozen, and says how well the graph
foretold what happens.

example:
  residuum sae train microworld microworld --at L3.ln2 --to L3.mlp_out --out coder3
  residuum circuit attribute microworld "The capital of France is" coder3 --answer Paris \\
      --out france.html --viewer france.json"""


def add(verbs: Commands) -> None:
    """Declare the verb."""
    parser = add_command(
        verbs, "attribute", run, "features behind one prompt's answer", details=_DETAILS
    )
    parser.add_argument("model", metavar="MODEL", help="name or folder")
    parser.add_argument("prompt", metavar="PROMPT", help="a text")
    parser.add_argument(
        "transcoders", nargs="+", metavar="TRANSCODER",
        help="folder, or name on the hub: one for each layer, or one cross-layer transcoder",
    )  # fmt: skip
    parser.add_argument(
        "--answer", action="append", metavar="WORD",
        help="token to explain; several times for several (default: the most probable ones)",
    )  # fmt: skip
    parser.add_argument("--wrong", metavar="WORD", help="explain the lead over this token")
    parser.add_argument(
        "--all-tokens", action="store_true", help="features at the first token too (BOS)"
    )
    size = parser.add_argument_group("how large it is")
    size.add_argument("--max-nodes", type=counted, default=2048, metavar="N", help="features")
    size.add_argument("--nodes", type=float, default=0.8, metavar="SHARE",
                      help="influence of the nodes kept (default: 0.8)")  # fmt: skip
    size.add_argument("--edges", type=float, default=0.98, metavar="SHARE",
                      help="influence of the edges kept (default: 0.98)")  # fmt: skip
    size.add_argument("--max-memory", default="2 GB", metavar="SIZE", help="default: 2 GB")
    tried = parser.add_argument_group("whether it foretells anything")
    tried.add_argument("--test", type=counted, metavar="N", help="take N features out, see above")
    tried.add_argument("--seed", type=seeded, default=0, help="of the random latents (default: 0)")
    parser.add_argument("--top", type=counted, default=12, help="edges listed (default: 12)")
    parser.add_argument(
        "--viewer", metavar="FILE", help="also write the JSON that Neuronpedia's viewer reads"
    )
    add_out(parser, RESULTS)


def run(arguments: argparse.Namespace) -> int:
    """Trace and show."""
    check_out(arguments)
    if arguments.viewer:
        check_suffix(arguments.viewer, (".json",))
    target = _target(arguments)
    model = open_model(arguments)
    transcoders = _opened(arguments.transcoders, model)
    from residuum.circuits import attribution_graph

    graph = attribution_graph(
        model, arguments.prompt, transcoders, target=target,
        skip=() if arguments.all_tokens else ("bos",), max_nodes=arguments.max_nodes,
        node_threshold=arguments.nodes, edge_threshold=arguments.edges,
        max_memory=arguments.max_memory, progress=progress_for(arguments),
    )  # fmt: skip
    tested = None
    if arguments.test:
        tested = graph.test(model, transcoders, n=arguments.test, seed=arguments.seed)
    for path in arguments.out:
        graph.save(path)
    if arguments.viewer:
        graph.write_json(arguments.viewer)
    if arguments.json:
        put_json(graph.to_json() | ({} if tested is None else {"test": tested.to_json()}))
        return 0
    put_text(headline(model))
    print()
    _show(graph, arguments.top)
    if tested is not None:
        put_text(f"\n{tested!r}")
    if arguments.viewer:
        arguments.out.append(arguments.viewer)
    told_written(arguments)
    return 0


def _target(arguments: argparse.Namespace) -> Any:
    """What to explain: tokens, a contrast, or None."""
    answers, wrong = arguments.answer, arguments.wrong
    if wrong is None:
        return answers
    if answers is None or len(answers) != 1 or answers[0] == wrong:
        raise OptionError(
            "--wrong needs one --answer, and another one", mend="--answer Mary --wrong John"
        )
    return {answers[0]: 1.0, wrong: -1.0}


def _opened(names: list[str], model: Model) -> Any:
    """Layer -> transcoder, or the cross-layer one.

    Raises:
        OptionError: two of one layer, or a cross-layer one with others.
    """
    from residuum.dictionaries import CrossLayerTranscoder, load_dictionary

    found: dict[Any, Any] = {}
    for name in names:
        made = load_dictionary(name, model, check=False)
        if isinstance(made, CrossLayerTranscoder):
            if len(names) > 1:
                raise OptionError(
                    f"{name} is a transcoder of all layers", mend="give it alone, or one for each"
                )
            return made
        layer = made.reads[0].layer
        if layer in found:
            raise OptionError(
                f"{name} is of layer {layer}, as another one is", mend="give one for each layer"
            )
        found[layer] = made
    return found


def _show(graph: AttributionGraph, top: int) -> None:
    whole, left = graph.scores, graph.pruned_scores
    features, errors = graph.of_kind("feature"), graph.of_kind("error")
    answers = ", ".join(each.words for each in graph.all_nodes if each.kind == "logit")
    put_facts(
        [
            ("answer", answers),
            ("kept", f"{(features & graph.kept).sum()} of {graph.n_active} active features, "
             f"{(errors & graph.kept).sum()} errors, {graph.kept_edges.sum():,} edges"),
            ("replacement", f"{whole.replacement:.2f} ({left.replacement:.2f} of what is kept): "
             "paths that start at tokens, not at errors"),
            ("completeness", f"{whole.completeness:.2f} ({left.completeness:.2f}): inputs that are "
             "not errors"),
            ("unexplained", ", ".join(f"{a} {b:.0%}" for a, b in graph.unexplained.items())
             or "not known"),
        ]
    )  # fmt: skip
    print()
    put_table(_edges(graph, top))
    for warning in graph.warnings:
        put_text(f"note: {warning}")
    put_text(
        "An edge is what the source adds, with patterns and norms frozen. Whether that foretells "
        "what the model does, --test 16 says."
    )


def _edges(graph: AttributionGraph, top: int) -> Table:
    from residuum.figures import Column, Table

    frame = graph.to_dataframe()
    drawn = frame.sort_values("paths", ascending=False, kind="stable").head(top)
    rows = [
        [each["source"], each["target"], each["weight"], 100 * each["paths"]]
        for each in drawn.to_dict("records")
    ]
    more = len(frame) - len(drawn)
    caption = f"{more:,} more edges: --out FILE.csv lists all." if more > 0 else ""
    columns = [
        Column("from"),
        Column("to"),
        Column("adds", digits=2),
        Column("paths", "%", digits=1),
    ]
    title = "Edges that the most paths take"
    return fitted(Table(columns, rows, title=title, caption=caption), (3,))
