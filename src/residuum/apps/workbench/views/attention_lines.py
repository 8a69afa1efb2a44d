"""The attention view as Python: the same arrays with the library alone."""

from __future__ import annotations

from typing import Any

_SIZES = {
    "pattern": "    return pattern",
    "value": """\
    v = of["v", layer][0].float().cpu()  # [k head d_head]
    v = v.repeat_interleave(pattern.shape[0] // v.shape[1], dim=1)
    return pattern * v.norm(dim=-1).T[:, None]""",
    "output": """\
    v = of["v", layer][0].float().cpu()  # [k head d_head]
    v = v.repeat_interleave(pattern.shape[0] // v.shape[1], dim=1)
    moved = torch.einsum("khd,hdm->hkm", v, model.W_O[layer].float().cpu())
    moved = moved * model.adapted.parts.layers[layer].scale
    return pattern * moved.norm(dim=-1)[:, None]""",
}

_MAP = """\
def weighted(of, layer):  # [head q k]
    pattern = of["pattern", layer][0].float().cpu()
{size}

"""

_ALL = """\
layers = [i for i in range(model.n_layers) if f"L{{i}}.pattern" in run]
maps = torch.stack([{map} for i in layers])  # [layer head q k]
n = maps.shape[-1]
block = -(-n // {thumb})  # positions on a pixel's side
short = -n % block
tiles = torch.nn.functional.pad(maps, (0, short, 0, short))
tiles = tiles.unflatten(-1, (-1, block)).unflatten(-3, (-1, block))  # [layer head t block t block]
high, low = tiles.amax((-3, -1)), tiles.amin((-3, -1))
largest = torch.where(high >= -low, high, low)
limit = {limit}
thumbs = {bytes}


def looks(of):  # [layer head score]
    pattern = torch.stack([of["pattern", i][0].float().cpu() for i in layers])
    ids = of.ids[0].cpu()
    same = (ids[:, None] == ids).tril(-1)  # the same token, earlier; the first counts as none
    same[:, 0] = False
    after = torch.zeros_like(same)
    after[:, 1:] = same[:, :-1]
    rows = {{
        "entropy": torch.special.entr(pattern).sum(-1)[..., 1:],
        "previous": pattern.diagonal(-1, 2, 3)[..., 1:],
        "first": (pattern[..., 0] + 1 - pattern.sum(-1))[..., 1:],
        "current": pattern.diagonal(0, 2, 3)[..., 1:],
        "duplicate": (pattern * same).sum(-1)[..., same.any(1)],
        "induction": (pattern * after).sum(-1)[..., after.any(1)],
    }}
    return torch.stack([each.mean(-1) for each in rows.values()], -1)


scores = {scores}
"""

_ONE = """\
pattern = {map}[{head}]
if model.adapted.parts.layers[0].wiring != "post_norm_encoder":  # no keys after the query
    future = torch.ones_like(pattern).triu(1).bool() & (pattern == 0)
    pattern = pattern.masked_fill(future, float("nan"))


def lengths(of):  # of the values that this head reads, [k]
    v = of["v", {layer}][0].float().cpu()
    return v.norm(dim=-1)[:, {head} * v.shape[1] // model.n_heads]


value_norm = {norms}
"""


def lines(params: Any, minus: bool) -> str:
    """Lines that make what the view shows."""
    head = _MAP.format(size=_SIZES[params.weighting])
    if params.layer is not None:
        return head + "\n" + _ONE.format(
            layer=params.layer,
            head=params.head,
            map=_less(f"weighted({{}}, {params.layer})", minus),
            norms="lengths(run) - lengths(minus)" if minus else "lengths(run)",
        )  # fmt: skip
    plain = params.weighting == "pattern" and not minus
    scaled = "128 + largest / (limit or 1.0) * 127" if minus else "largest / (limit or 1.0) * 255"
    return head + "\n" + _ALL.format(
        map=_less("weighted({}, i)", minus),
        thumb=params.thumb,
        limit="1.0" if plain else "float(largest.abs().max())",
        bytes=f"({scaled}).round().to(torch.uint8)",
        scores="looks(run) - looks(minus)" if minus else "looks(run)",
    )  # fmt: skip


def _less(call: str, minus: bool) -> str:
    one = call.format("run")
    return f"({one} - {call.format('minus')})" if minus else one
