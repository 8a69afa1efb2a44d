"""The coder while it is fitted: plan, losses with right gradients, sparse products, its step."""
