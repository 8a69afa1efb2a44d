"""Tests of a circuit: against random circuits, with p-values, on prompts it was not found on."""
