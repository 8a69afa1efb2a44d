"""What a sweep goes through: cells, blocks of them, and what is written there."""
