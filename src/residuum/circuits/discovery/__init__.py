"""Ways to find a circuit: exact, by gradients, by learned masks, by search."""
