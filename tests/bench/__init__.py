"""Benchmarks: `python -m tests.bench.bench_...` prints figures. They use the tests' settings."""

from __future__ import annotations

import os

import django
from django.apps import apps

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
if not apps.ready:
    django.setup()
