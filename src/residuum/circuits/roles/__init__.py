"""What the parts of a circuit do: names from evidence, with the evidence beside them."""
