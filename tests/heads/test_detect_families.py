"""Detectors on every kind of attention: against the patterns that transformers itself returns."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "families"))

from configs import CONFIGS, build

import residuum as rz
from residuum.core import SILENT, OptionError
from residuum.heads import detect_heads, random_repeats
from residuum.heads.detectors import measure
from residuum.heads.logit_directions import LogitDirections
from residuum.heads.matches import find_matches

NAMES = (
    "gpt2",  # learned positions
    "llama",  # grouped keys and values, rotary, RMSNorm
    "mistral",  # a sliding window in every layer
    "gemma2",  # post-norms, soft caps, windows in some layers
    "gemma3_text",  # post-norms, embedding scale
    "gpt_oss",  # learned sinks, a mixture
    "gpt_neox",  # parallel blocks, fused projections
    "cohere",  # parallel, logit scale
    "granite",  # residual multiplier, logit divisor
    "bloom",  # ALiBi, no attention interface
    "falcon_7b",  # one key/value head
    "olmo2",  # post-norm alone, no first norm
    "qwen3_moe",  # dense and sparse blocks
)
LENGTH = 25


def loaded(name: str) -> Any:
    torch.set_num_threads(1)
    return rz.load(build(name, torch.float64))


@pytest.fixture(scope="module", params=NAMES)
def family(request: pytest.FixtureRequest) -> Any:
    return loaded(request.param)


@pytest.fixture(scope="module")
def ids(family: Any) -> torch.Tensor:
    return random_repeats(family, 6, LENGTH, seed=4).ids


@pytest.fixture(scope="module")
def measured(family: Any, ids: torch.Tensor) -> Any:
    return measure(family, ids, LogitDirections.of(family), SILENT)


@pytest.fixture(scope="module")
def patterns(family: Any, ids: torch.Tensor) -> torch.Tensor:
    """``[layer prompt head q_pos k_pos]`` as transformers returns them."""
    eager = build(family_name(family), torch.float64, attn_implementation="eager")
    with torch.no_grad():
        out = eager(input_ids=ids, use_cache=False, output_attentions=True)
    found = torch.stack(out.attentions)
    return found[..., : ids.shape[1]]


def family_name(model: Any) -> str:
    kinds = {CONFIGS[name][0]: name for name in NAMES}
    return kinds[model.hf.config.model_type]


def slowly(pattern: torch.Tensor, ids: list[int]) -> dict[str, list[float]]:
    """Scores of one head on one prompt, place by place."""
    found: dict[str, list[float]] = {
        "previous_token": [], "first_token": [], "duplicate_token": [], "induction": [],
        "entropy": [],
    }  # fmt: skip
    for q in range(len(ids)):
        row = pattern[q].tolist()
        if q >= 2:
            found["previous_token"].append(row[q - 1])
        if q >= 1:
            found["first_token"].append(row[0] + 1 - sum(row))
            found["entropy"].append(float(-sum(p * torch.tensor(p).log() for p in row if p > 0)))
        earlier = [k for k in range(1, q) if ids[k] == ids[q]]
        if earlier:
            found["duplicate_token"].append(sum(row[k] for k in earlier))
        after = [k + 1 for k in earlier]
        if after:
            found["induction"].append(sum(row[k] for k in after))
    return found


def test_attention_scores_are_those_of_the_models_own_patterns(
    measured: Any, patterns: torch.Tensor, ids: torch.Tensor
) -> None:
    layers, prompts, heads = patterns.shape[:3]
    for layer, prompt, head in [(0, 0, 0), (layers - 1, prompts - 1, heads - 1), (1, 2, 1)]:
        slow = slowly(patterns[layer, prompt, head], ids[prompt].tolist())
        for name, values in slow.items():
            mine = float(measured.scores[name][layer, head, prompt])
            assert mine == pytest.approx(sum(values) / len(values), abs=1e-5), (name, layer)


def test_direct_effects_are_those_of_head_out(
    family: Any, measured: Any, ids: torch.Tensor
) -> None:
    """Through the final norm's own answer, entry by entry, and the unembedding."""
    last = family.n_layers - 1
    run = family.run(ids, capture=["head_out", f"L{last}.resid_post", "ln_final"])
    stream = run[f"L{last}.resid_post"]
    norm = family.adapted.parts.final_norm
    with torch.no_grad():
        scaled = norm(stream) - norm(torch.zeros_like(stream))
    centred = "LayerNorm" in type(norm).__name__ and "RMS" not in type(norm).__name__

    def taken(x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(-1, keepdim=True) if centred else x

    ratio = scaled / taken(stream)
    config = family.hf.config
    factor = getattr(config, "logit_scale", None) or 1 / getattr(config, "logits_scaling", 1.0)
    unembed = (family.W_U - family.W_U.mean(1, keepdim=True)) * factor
    find = find_matches(ids)
    token = ids.gather(1, find.predicted)
    for layer in range(family.n_layers):
        heads = run["head_out", layer]
        written = taken(heads) * ratio[:, :, None]
        logit = torch.einsum("bphd,dbp->bph", written, unembed[:, token])
        mean = (logit * find.has[..., None]).sum(1) / find.has.sum(1)[:, None]
        torch.testing.assert_close(measured.scores["direct"][layer], mean.T, atol=2e-5, rtol=1e-4)


def test_copying_adds_up_over_sources(family: Any, measured: Any, ids: torch.Tensor) -> None:
    """Weights times values, source by source, for one head."""
    directions = LogitDirections.of(family)
    last = family.n_layers - 1
    run = family.run(ids, capture=["pattern", "v", "z", f"L{last}.resid_post"])
    layer, head = last, family.n_heads - 1
    size = directions.size(run[f"L{last}.resid_post"])
    size = size * directions.post_size(layer, run["z", layer])
    tokens = directions.through_heads(layer, directions.of_tokens(ids))[:, :, head]
    values = run["v", layer]
    group = family.n_heads // values.shape[2]
    own = (values[:, :, head // group] * tokens).sum(-1)
    total, width = torch.zeros(len(ids), dtype=torch.float64), ids.shape[1]
    for q in range(2, width):
        for k in range(1, q):
            total += run["pattern", layer][:, head, q, k] * own[:, k] / size[:, q]
    torch.testing.assert_close(
        measured.scores["copying"][layer, head], total / (width - 2), atol=1e-5, rtol=1e-4
    )


def test_the_whole_table(family: Any) -> None:
    table = detect_heads(family, n=6, length=LENGTH, removal_n=4, resamples=50)
    assert len(table.heads) == family.n_layers * family.n_heads
    for score in table.scores.values():
        assert (score.low <= score.values + 1e-9).all() and (
            score.values <= score.high + 1e-9
        ).all()
    assert abs(table.costs["repeats"].values).max() > 0
    assert not table.of_type("induction")


def test_removal_costs_are_those_of_runs() -> None:
    """The sweep's number is what two runs of the model give."""
    model = loaded("llama")
    table = detect_heads(model, n=4, length=LENGTH, removal="zero", removal_n=4)
    prompts = random_repeats(model, 4, LENGTH)
    rows = torch.arange(4)

    def loss(run: Any) -> float:
        return float(-run.last.double().log_softmax(-1)[rows, prompts.answers].mean())

    change = loss(model.run(prompts.ids, edits=[rz.Zero("L1.z[H2]")])) - loss(
        model.run(prompts.ids)
    )
    assert table.costs["repeats"].values[1, 2] == pytest.approx(change, abs=1e-9)


def test_sinks_count_as_attention_to_nothing() -> None:
    model = loaded("gpt_oss")
    ids = random_repeats(model, 4, LENGTH).ids
    pattern = model.run(ids, capture="pattern")["pattern", 0]
    sink = 1 - pattern.sum(-1)
    assert sink.max() > 0.01
    found = measure(model, ids, LogitDirections.of(model), SILENT).scores["first_token"][0]
    mine = (pattern[..., 0] + sink)[..., 1:].mean(-1)
    torch.testing.assert_close(found, mine.T, atol=1e-5, rtol=1e-5)


def test_an_encoder_is_refused() -> None:
    with pytest.raises(OptionError, match="does not predict the next token"):
        detect_heads(loaded("bert"))


def test_content_is_what_the_other_prompts_do_not_explain() -> None:
    """Leave-one-out, place by place: the share of variance, and attention above the mean."""
    model = loaded("llama")
    ids = random_repeats(model, 5, LENGTH, seed=8).ids
    pattern = model.run(ids, capture="pattern")["pattern", 1][:, 2]
    found = measure(model, ids, LogitDirections.of(model), SILENT, batch_size=5).scores
    find, width = find_matches(ids), ids.shape[1]
    uniform = torch.ones(width, width).double().tril() / torch.arange(1, width + 1)[:, None]
    for prompt in range(5):
        others = [i for i in range(5) if i != prompt]
        mean = pattern[others].mean(0)
        # A mean of four others is itself off: their own variance, a quarter, is taken out.
        unexplained = (pattern[prompt] - mean).square().sum() * 4 / 5
        share = 1 - unexplained / (pattern[prompt] - uniform).square().sum()
        mine = found["positional_share"][1, 2, prompt]
        assert float(mine) == pytest.approx(float(share), abs=1e-6)
        skipped = 0.0
        for q in range(width):
            for k in range(1, q - 1):
                if not find.duplicate[prompt, q, k] and not find.induction[prompt, q, k]:
                    skipped += max(float(pattern[prompt, q, k] - mean[q, k]), 0.0)
        mine = found["skip_trigram"][1, 2, prompt]
        assert float(mine) == pytest.approx(skipped / (width - 3), abs=1e-6)


def test_nulls_look_at_the_same_places_without_the_repeats() -> None:
    """By hand: the model's own pattern on the exchanged tokens, query by query."""
    model = loaded("llama")
    prompts = random_repeats(model, 6, LENGTH, seed=8)
    pattern = model.run(prompts.exchanged, capture="pattern")["pattern", 0][:, 1]
    options = {"batch_size": 6, "exchanged": prompts.exchanged, "every": 2}
    nulls = measure(model, prompts.ids, LogitDirections.of(model), SILENT, **options).nulls
    places = find_matches(prompts.ids)
    for name, masks in (("duplicate_token", places.duplicate), ("induction", places.induction)):
        for prompt in range(6):
            mine = float(nulls[name][0, 1, prompt])
            mask = masks[prompt]
            looked = (pattern[prompt] * mask).sum(1)[mask.any(1)]
            expected = float(looked.mean()) if prompt % 2 == 0 else float("nan")
            assert mine == pytest.approx(expected, abs=1e-6, nan_ok=True)
