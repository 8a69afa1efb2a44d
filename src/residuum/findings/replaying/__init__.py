"""A finding run again, here or on another model."""
