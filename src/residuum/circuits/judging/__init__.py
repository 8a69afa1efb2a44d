"""How well a circuit stands for its model: faithful, complete, minimal, under each reference."""
