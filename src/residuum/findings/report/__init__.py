"""The page, its tables and pictures, from a finding alone."""
