"""A PostgreSQL of our own, found, initialised, started and stopped by us, for `make run` and the tests."""
