"""How good a circuit is: faithful, complete, minimal, under every choice of ablation."""
