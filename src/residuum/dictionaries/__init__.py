"""Dictionaries: sparse coders: train, read, trust and use sparse features."""
