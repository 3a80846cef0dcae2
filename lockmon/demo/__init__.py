"""Demo traffic: a few real sessions that get in each other's way, on the embedded database only."""
