"""The lens view as Python: the same arrays with the library alone."""

from __future__ import annotations

from typing import Any

_STREAMS = """\
from residuum.lenses.logit_lens import unembed

at = {at}
last = f"L{{model.n_layers - 1}}.resid_post"
rows = [*{begin}, *(f"L{{i}}.{site}" for i in range(model.n_layers))]
rows = [each for each in rows if each in run]
"""

_TUNED = """\
lens = rz.TunedLens.load(f"{{model.name}}/{folder}")

"""

_LOGITS = """

def read(of, number):  # one row's logits, [pos d_vocab]
    stream = of[rows[number]][0][at]
{translated}    return unembed(model, stream).float().cpu()


def output(of):
    return unembed(model, of[last][0][at]).float().cpu()


"""

_MEASURES = {
    "prob": "x.softmax(-1).gather(-1, targets)",
    "logit": "x.gather(-1, targets) - x.mean(-1, keepdim=True)",
    "rank": "1 + (x[:, None] > x.gather(-1, targets)[..., None]).sum(-1).float()",
    "entropy": "torch.special.entr(x.softmax(-1)).sum(-1, keepdim=True) / math.log(2)",
    "kl": "(x.softmax(-1) * (x.log_softmax(-1) - ends.log_softmax(-1))).sum(-1, keepdim=True)"
    " / math.log(2)",
}

_MEASURE = """\
def measure(x, ends):  # [pos token], {unit}
    return {measure}


def measured(of):  # [row pos token]
    ends = output(of)
    return torch.stack([measure(read(of, i), ends) for i in range(len(rows))])


"""

_CELLS = """\
targets = {targets}  # [pos 1]
value = {value}[..., 0]
best = [read(run, i).softmax(-1).topk({top}, dim=-1) for i in range(len(rows))]
top_ids = torch.stack([each.indices for each in best])
top_probs = torch.stack([each.values for each in best])
"""

_LESS = """\
before = [read(minus, i).softmax(-1).gather(-1, top_ids[i]) for i in range(len(rows))]
top_probs = top_probs - torch.stack(before)
"""

_TRAJECTORY = """\
targets = torch.tensor([{tokens}])  # [1 token]
trajectory = {value}[:, 0].T
"""


def lines(params: Any, minus: bool) -> str:
    """Lines that make what the view shows."""
    from residuum.apps.workbench.views.lens_translators import FOLDER
    from residuum.apps.workbench.views.vocabulary import UNITS

    tuned = params.kind == "tuned"
    whole = "list(range(run.ids.shape[1]))" if params.positions is None else repr(params.positions)
    moved = "    stream = stream if rows[number] == last else lens.translate(stream, number)\n"
    text = _STREAMS.format(
        at=[params.pos] if params.tokens else whole,
        begin=["L0.resid_pre"] if params.site == "resid_post" else [],
        site=params.site,
    )
    text += _TUNED.format(folder=FOLDER) if tuned else ""
    text += _LOGITS.format(translated=moved if tuned else "")
    text += _MEASURE.format(unit=UNITS[params.quantity], measure=_MEASURES[params.quantity])
    if params.quantity in ("entropy", "kl"):
        text = "import math\n\n" + text
    value = "(measured(run) - measured(minus))" if minus else "measured(run)"
    if params.tokens:
        return text + _TRAJECTORY.format(tokens=list(params.tokens), value=value)
    predicted = f"output({'minus' if minus else 'run'}).argmax(-1, keepdim=True)"
    fixed = f"torch.full((len(at), 1), {params.target})"
    text += _CELLS.format(
        targets=predicted if params.target is None else fixed, value=value, top=params.top
    )
    return text + (_LESS if minus else "")
