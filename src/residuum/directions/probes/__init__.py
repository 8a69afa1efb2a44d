"""Linear probes: what can be read off a site, how surely, and against which controls."""
