"""Work done and the least work there is, counted in multiply-adds and told in whole passes."""

from __future__ import annotations

from dataclasses import dataclass

from residuum.models import Adapted


@dataclass(frozen=True)
class MaskedWork:
    """What masked runs have cost, in forward-pass equivalents of the whole task.

    One pass is every layer's projections, attention and MLP on the clean prompts; the unembedding
    is counted in neither (of a masked run only the tokens that the metric reads are unembedded).

    Attributes:
        circuits: how many were run.
        passes: multiply-adds spent, those of summing streams included, and the passes that made
            ready: the clean run, the references', the whole and the empty circuit.
        bound: multiply-adds of the parts that differ from every known run and can reach the
            logits, alone: the least that has to be done.
    """

    circuits: int
    passes: float
    bound: float

    @property
    def per_circuit(self) -> float:
        """Passes for each circuit."""
        return self.passes / max(1, self.circuits)


@dataclass
class Tally:
    """Multiply-adds of some prompts, counted part by part.

    Attributes:
        tokens: tokens computed of all prompts together.
        ended: prompts, where only the last token is computed.
        width: positions that a query can look at.
    """

    adapted: Adapted
    tokens: int
    ended: int
    width: int
    spent: int = 0
    least: int = 0

    def projection(self, layer: int, slot: str, heads: int) -> None:
        """Some heads' queries, keys or values."""
        dims = self.adapted.parts.dims
        self._add(heads * self.tokens * dims.d_model * dims.d_head)

    def attention(self, layer: int, circuits: int, heads: int) -> None:
        """Scores and sums of all heads in some circuits, of which some heads are needed."""
        dims = self.adapted.parts.dims
        each = self.tokens * 2 * self.width * dims.d_head
        self.spent += circuits * dims.n_heads * each
        self.least += heads * each

    def out(self, layer: int, heads: int, ends: bool) -> None:
        """What some heads write."""
        dims = self.adapted.parts.dims
        self._add(heads * (self.ended if ends else self.tokens) * dims.d_model * dims.d_head)

    def mlp(self, layer: int, circuits: int, ends: bool) -> None:
        """The MLP in some circuits."""
        self._add(circuits * (self.ended if ends else self.tokens) * mlp_macs(self.adapted, layer))

    def sums(self, macs: int) -> None:
        """Sums over senders."""
        self.spent += macs

    def _add(self, macs: int) -> None:
        self.spent += macs
        self.least += macs


def mlp_macs(adapted: Adapted, layer: int) -> int:
    """Multiply-adds of an MLP for each token; of a mixture, of the experts that a token has."""
    part = adapted.parts.layers[layer]
    if not part.has_mlp:
        return 0
    if part.mlp is None:
        modules = [each for each in (part.mlp_in, part.mlp_out) if each is not None]
        return sum(each.numel() for module in modules for each in module.parameters())
    total = sum(each.numel() for each in part.mlp.parameters())
    if part.mlp_kind != "moe":
        return total
    config = adapted.hf.config.get_text_config()
    experts = adapted.parts.dims.n_experts or 1
    return total * int(getattr(config, "num_experts_per_tok", experts)) // experts


def pass_macs(adapted: Adapted, prompts: int, width: int) -> int:
    """Multiply-adds of one whole pass, without embedding and unembedding."""
    dims = adapted.parts.dims
    tokens = prompts * width
    slots = 2 * dims.n_heads + 2 * dims.n_kv_heads
    projections = slots * dims.d_head * dims.d_model
    attention = 2 * width * dims.n_heads * dims.d_head
    mlps = sum(mlp_macs(adapted, layer) for layer in range(dims.n_layers))
    return tokens * (dims.n_layers * (projections + attention) + mlps)
