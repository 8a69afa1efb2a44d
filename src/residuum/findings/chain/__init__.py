"""The chain of stages from a behaviour to a claim."""
