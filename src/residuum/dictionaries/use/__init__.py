"""Use: features as edits, in units of their own activations; effects on a task; patching."""
