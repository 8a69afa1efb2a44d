"""Circuits: which edges carry a behaviour, found and put on trial."""
