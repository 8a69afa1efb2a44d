"""Findings in a local folder: kept by content, searched, compared, and held against each other."""
