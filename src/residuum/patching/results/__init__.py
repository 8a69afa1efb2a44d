"""Results: sweeps, path tables, knock-outs, and how sure they are."""
