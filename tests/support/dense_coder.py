"""The textbook formulas of sparse coders, dense, by autograd: what the sparse ones must equal.

Written from the papers, and on purpose without anything of ``residuum.dictionaries`` but the names
of the plan's fields.
"""

import torch


def dense_losses(plan, own, x, target, dead, penalty_weight, aux_weight):
    """``total, parts`` of a batch ``x [n read d]``, ``target [n write d]``, unscaled."""
    n, reads = x.shape[:2]
    writes = target.shape[1]
    latents_of = latents_by_activation(plan)
    cross = plan.kind == "cross_layer_transcoder"
    shift = own["b_dec"] if plan.centred else 0.0
    if cross:
        raw = torch.cat([x[:, i] @ w.T for i, w in enumerate(own["W_enc"].chunk(reads))], 1)
    else:
        raw = (x.flatten(1) - shift) @ own["W_enc"].T
    latents, sizes, counted, pre, alone = latents_of(raw, own)
    decoders = [own[name] for name in sorted(own) if name.startswith("W_dec")]

    def decode(values, rows=decoders):
        if not cross:
            return values @ rows[0]
        out = torch.zeros(n, writes, plan.out_width, dtype=x.dtype)
        for i, (part, weight) in enumerate(zip(values.chunk(reads, 1), rows, strict=True)):
            out[:, i:] += (part @ weight).unflatten(1, (writes - i, plan.out_width))
        return out.flatten(1)

    base = own["b_dec"] + (x.flatten(1) @ own["W_skip"] if plan.skip else 0)
    t = target.flatten(1)
    ends = plan.prefixes or (plan.n_latents,)
    column = torch.arange(plan.n_latents)
    each = [((decode(latents * (column < end)) + base - t) ** 2).sum() / n for end in ends]
    parts = {"reconstruction": each[-1], "rebuilt": sum(each) / len(each)}
    total = parts["rebuilt"]
    if alone is not None:
        frozen = [weight.detach() for weight in decoders]
        parts["alone"] = ((decode(alone, frozen) + base.detach() - t) ** 2).sum() / n
        total = total + parts["alone"]
    if plan.penalty is not None:
        if type(plan.penalty).__name__ == "L0Step":
            parts["penalty"] = counted.sum() / n
        elif plan.penalty.by_decoder_norm:
            norms = [w.unflatten(1, (-1, plan.out_width)).norm(dim=2).sum(1) for w in decoders]
            parts["penalty"] = (sizes * torch.cat(norms)).sum() / n
        else:
            parts["penalty"] = sizes.sum() / n
        total = total + penalty_weight * parts["penalty"]
    if plan.aux_k and dead.any():
        error = (t - decode(latents) - base).detach()
        only = torch.where(dead, pre, torch.full_like(pre, -torch.inf))
        k = min(plan.aux_k, int(dead.sum()))
        mask = torch.zeros_like(pre).scatter(1, only.topk(k, dim=1).indices, 1.0)
        parts["auxiliary"] = ((decode(pre * mask) - error) ** 2).sum() / n
        total = total + aux_weight * parts["auxiliary"]
    parts["latents"] = latents
    return total, parts


def latents_by_activation(plan):
    kind = type(plan.activation).__name__

    def mask_of_largest(values, k):
        return torch.zeros_like(values).scatter(-1, values.topk(k, dim=-1).indices, 1.0)

    def latents_of(raw, own):
        if kind == "Gated":
            gate = raw + own["b_gate"]
            size = (raw * own["r_mag"].exp() + own["b_mag"]).relu()
            return (gate > 0).to(raw) * size, gate.relu(), None, gate, gate.relu()
        pre = raw + own["b_enc"]
        if kind == "ReLU":
            return pre.relu(), pre.relu(), None, pre, None
        if kind == "TopK":
            parts = len(plan.reads) if plan.kind == "cross_layer_transcoder" else 1
            by_part = pre.detach().unflatten(1, (parts, -1))
            found = pre.relu() * mask_of_largest(by_part, plan.activation.k).flatten(1)
            return found, found, None, pre, None
        if kind == "BatchTopK":
            k = plan.activation.k * len(pre)
            found = pre.relu() * mask_of_largest(pre.detach().flatten(), k).view_as(pre)
            return found, found, None, pre, None
        threshold, width = own["log_threshold"].exp(), plan.activation.bandwidth
        above = (pre > threshold).to(pre)
        window = ((pre - threshold).abs() < width / 2).to(pre)
        moved = threshold - threshold.detach()  # 0, with the threshold's gradient
        jump = pre * above.detach() - (threshold * window / width).detach() * moved
        step = above.detach() - (window / width).detach() * moved
        return jump, jump, step, pre, None

    return latents_of


def project(weight, grad):
    """A decoder's gradient without what would change its rows' lengths."""
    return grad - (grad * weight).sum(1, keepdim=True) * weight
