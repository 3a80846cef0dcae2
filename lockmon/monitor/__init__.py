"""The resident loop, and what it watches with."""
