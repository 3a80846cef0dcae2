"""Django's PostgreSQL backend, which also connects to PostgreSQL 13."""
