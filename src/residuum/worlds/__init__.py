"""Worlds: generators of text and contrast pairs, without torch."""
