#!/usr/bin/env python
"""Django's command line for the One Vault lock monitor."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    """Run one management command; a wrong setting ends with one sentence and exit code 2."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "onevault.settings")
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
        from django.db import DatabaseError

        from lockmon import errors
        from lockmon.text import mark_what_it_lacks
        from onevault import env, web_choice
    except ImportError:
        sys.exit("Django is not installed here: run 'make setup', then use .venv/bin/python manage.py.")
    mark_what_it_lacks(sys.stdout)
    local = env.folder("ONEVAULT_LOCAL", Path(__file__).resolve().parent / ".local")
    try:
        if chosen := web_choice.before_migrate(sys.argv, local):
            print(f"Django's tables are made in {local} ({chosen}), on this host. Restart what runs.")
        execute_from_command_line(sys.argv)
    except web_choice.UnansweredError as error:
        sys.exit(str(error))
    except ImproperlyConfigured as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except DatabaseError as error:
        told = errors.for_command(error)
        if told is None or "--traceback" in sys.argv:
            raise
        sys.exit(told)


if __name__ == "__main__":
    main()
