"""Masked runs: the clean prompts, where only the edges of a circuit carry what they say."""
