"""What latents do to a task's answers: ``rz.feature_effects(model, dictionary, task)``."""

from __future__ import annotations

from collections.abc import Iterable

from residuum.core import OptionError
from residuum.dictionaries.record.dictionary import Dictionary
from residuum.dictionaries.use.effects_result import FeatureEffects
from residuum.dictionaries.use.methods import Exact, Gradient, Measuring, Method
from residuum.dictionaries.use.pairs import (
    LatentPairs,
    Way,
    latent_pairs,
    need_gradient,
    need_way,
)
from residuum.runs import Model, Task, bootstrap_mean_intervals, need_model, need_task, shown
from residuum.runs.arguments import whole_number


def feature_effects(
    model: Model,
    dictionary: Dictionary,
    task: Task,
    *,
    method: Method = Exact(),  # noqa: B008 - frozen
    way: Way = "ablate",
    pos: int | None = None,
    latents: Iterable[int] | None = None,
    control: int = 0,
    seed: int = 0,
) -> FeatureEffects:
    """Change one latent at a time, the reconstruction's error kept, and measure the answers.

    Args:
        model: a loaded model.
        dictionary: an SAE of one of its sites.
        task: contrast pairs.
        method: ``Exact()`` or ``Gradient(steps=, check=)``.
        way: ``"ablate"``: clean prompts lose the latent; ``"patch"``: corrupt prompts get its value
            from their clean partner, token by token.
        pos: the token at which it is changed, such as -1; None: all.
        latents: which; None: all that are active in the prompts, the others can do nothing.
        control: for each latent, the same changes in so many other latents' directions.
        seed: of control and intervals.

    Returns:
        Effects in the metric's unit, signed towards clean, with intervals by template.

    Raises:
        OptionError: no SAE of one site; no such way or method; a latent that there is not.
        LoadError, AddressError, TaskError: another model, position or task than fits.

    Shows: as of :class:`FeatureEffects`. Does not show: as there.
    Source: Marks et al. 2024, "Sparse Feature Circuits".

    >>> import residuum as rz
    >>> model = rz.load("microworld", check=False)
    >>> sae, task = rz.load_dictionary("microworld-sae"), rz.task("refusal", model, n=8)
    >>> found = feature_effects(model, sae, task, pos=-1)
    >>> found.way, len(found.latents) < found.n_latents
    ('ablate', True)
    """
    need_model(model, "feature_effects")
    need_task(task, "feature_effects")
    need_way(way)
    whole_number(control, "control", 0)
    whole_number(seed, "seed", 0)
    if not isinstance(method, Exact | Gradient):
        raise OptionError(f"method={shown(method)} is none", mend="Exact() or Gradient()")
    if isinstance(method, Gradient):
        need_gradient(task)
    held = latent_pairs(model, dictionary, task, pos)
    asked = Measuring(held, way, _asked(held, latents))
    values, agreement = method.effects(asked)
    clusters = clusters_of(task)
    low, high = bootstrap_mean_intervals(values, seed=seed, clusters=clusters)
    clean, corrupt = held.pairs.base.mean(1).tolist()
    return FeatureEffects(
        asked.index, values.mean(1), low, high, values,
        asked.elsewhere(asked.index, control, seed), clean, corrupt, way, method.title, agreement,
        task.metric, str(dictionary.reads[0]), dictionary.n_latents, dict(dictionary.labels),
        model.provenance(
            task_hash=task.task_hash, seed=seed,
            strategy=f"feature_effects({dictionary.reads[0]}, {way}, pos={pos}, {method.title})",
        ),
    )  # fmt: skip


def clusters_of(task: Task) -> list[str] | None:
    """Labels that intervals draw by: templates, or None (pairs) where there is only one."""
    several = len(task.templates) == len(task) and len(set(task.templates)) > 1
    return list(task.templates) if several else None


def _asked(held: LatentPairs, latents: Iterable[int] | None) -> tuple[int, ...]:
    if latents is None:
        return tuple(held.active)
    wanted = tuple(latents)
    n = len(held.directions)
    if any(type(each) is not int or not 0 <= each < n for each in wanted):
        raise OptionError(f"latents={shown(wanted)}", mend=f"give whole numbers from 0 to {n - 1}")
    return wanted
