"""Steering: find a direction, push along it, and see what flips and what it costs.

python examples/steer.py
"""

import residuum as rz

model = rz.load("microworld")

# Concept, site, token that is read and pushed, and the answers on the side that is pushed to.
recipes = {
    "sentiment": ("L1.resid_post", "end", ["happy", "glad"], ["review"]),
    "negation": ("L0.resid_post", "quality", [], ["today"]),
    "refusal": ("L1.resid_post", "end", ["Sorry"], ["teach"]),
    "sycophancy": ("L1.resid_post", "end", [], ["told/ruled", "told/writes"]),  # truth
    "agreement": ("L2.resid_post", "subject", ["are", "were", "look", "seem"], ["today"]),
}
scales = [-0.85, -0.7, -0.5, -0.35, 0.35, 0.5, 0.7, 0.85]

for name, (at, position, towards, held_out) in recipes.items():
    task = rz.task(name, model, n=240, seed=1)
    task = rz.oriented(task, model, towards) if towards else task
    train, held = rz.by_template(task, held_out)

    # Found, and its strengths chosen, on the training templates; measured on the held-out ones.
    direction = rz.direction(model, rz.Examples.from_task(train, position), at=at, prove=False)
    chosen = rz.steer(model, direction, train, positions=position, scales=scales, n_random=0)
    best = [chosen.best(sign).scale for sign in (1, -1)]
    steering = rz.steer(model, direction, held, positions=position, scales=best)
    for scale in best:
        dose = next(each for each in steering.doses if each.scale == scale)
        low, high = dose.flipped_interval
        cost = steering.side_effect(scale)
        print(
            f"{name:10} {scale:+.2f}  flips {dose.flipped:.2f} [{low:.2f}, {high:.2f}] of {dose.n}"
            f" (random directions {dose.random_flipped:.2f}), perplexity on neutral text "
            f"{100 * cost.perplexity_up_frac:+.1f} %, KL {cost.kl_bits:.3f} bits"
        )
    steering.figure().save(f"steer_{name}.html")
