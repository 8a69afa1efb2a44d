"""Ways to find a direction, one file each."""
