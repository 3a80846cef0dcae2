"""Django's PostgreSQL backend with one bound moved: the monitor watches PostgreSQL 13 too.

Django 5.2 refuses servers before 14 because their upstream support ends before its own does; what its ORM
sends is the same. The models of the vault are read only and their queries run on 13 in the tests.
"""

from __future__ import annotations

from django.db.backends.postgresql import base, features


class DatabaseFeatures(features.DatabaseFeatures):
    """What the server can do: as Django says, from 13 on."""

    minimum_database_version = (13,)


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to PostgreSQL 13 or newer."""

    features_class = DatabaseFeatures
