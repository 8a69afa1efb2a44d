"""The residual view as Python: the same arrays with the library alone."""

from __future__ import annotations

from typing import Any

_STREAM = """\
from residuum.lenses.final_norm import freeze_norm

rows = ["L0.resid_pre"]
for i in range(model.n_layers):
    rows += [f"L{{i}}.{{name}}" for name in ("resid_mid", "resid_post")]
rows = [each for each in rows if each in run]
last = rows[-1]


def lengths(of):  # [row pos]
    return torch.stack([of[each][0].float().cpu().norm(dim=-1) for each in rows])


def cosines(of):  # with the last stream, [row pos]
    streams = torch.stack([of[each][0].float().cpu() for each in rows])
    return (streams * streams[-1]).sum(-1) / (streams.norm(dim=-1) * streams[-1].norm(dim=-1))


def writes(of):  # lengths of what attention and MLP add, [layer 2 pos]
    found = torch.full((model.n_layers, 2, of.ids.shape[1]), float("nan"))
    for i in range(model.n_layers):
        for column, name in enumerate(("attn_out", "mlp_out")):
            if f"L{{i}}.{{name}}" in of:
                found[i, column] = of[f"L{{i}}.{{name}}"][0].float().cpu().norm(dim=-1)
    return found


pos = {pos}
answer = {answer}
wrong = {wrong}


def parts(of):  # what each head, the MLP and the attention's bias add to the logit
    direction = model.W_U[:, answer].double().cpu()
    if wrong is not None:
        direction = direction - model.W_U[:, wrong].double().cpu()
    norm = freeze_norm(model.adapted.parts.final_norm, of[f"{{last}}@{{pos}}"][0])
    back = norm.pull_back(direction){factor}
    found = torch.full((model.n_layers, model.n_heads + 2), float("nan"), dtype=torch.float64)
    for i in range(model.n_layers):
        heads = 0.0
        if f"L{{i}}.head_out@{{pos}}" in of:
            found[i, :-2] = of[f"L{{i}}.head_out@{{pos}}"][0].double().cpu() @ back
            heads = found[i, :-2].sum()
        if f"L{{i}}.mlp_out" in of:
            found[i, -2] = of[f"L{{i}}.mlp_out@{{pos}}"][0].double().cpu() @ back
        if f"L{{i}}.attn_out" in of:
            found[i, -1] = of[f"L{{i}}.attn_out@{{pos}}"][0].double().cpu() @ back - heads
    return found


"""


def lines(params: Any, minus: bool) -> str:
    """Lines that make what the view shows."""
    first = "minus" if minus else "run"
    likeliest = f"int({first}.logits[0, pos].argmax())"
    text = _STREAM.format(
        pos=params.pos,
        answer=likeliest if params.answer is None else params.answer,
        wrong=params.wrong,
        factor=" * logit_factor(model.adapted.parts)",
    ).replace("import freeze_norm", "import freeze_norm, logit_factor")
    names = {"norm": "lengths", "cosine": "cosines", "added_norm": "writes", "added": "parts"}
    for name, verb in names.items():
        text += f"{name} = {verb}(run){f' - {verb}(minus)' if minus else ''}\n"
    return text
