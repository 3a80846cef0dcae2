#!/usr/bin/env python
"""Django's command line for the One Vault lock monitor."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run one management command; a wrong setting ends with one sentence and exit code 2."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "onevault.settings")
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line

        from lockmon.text import mark_what_it_lacks
    except ImportError:
        sys.exit("Django is not installed here: run 'make setup', then use .venv/bin/python manage.py.")
    mark_what_it_lacks(sys.stdout)
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
