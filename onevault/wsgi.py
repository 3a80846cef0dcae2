"""The entry point for WSGI servers."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

from lockmon.keys import require_shared
from onevault.postgresql import guard
from onevault.sqlite import base as sqlite

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "onevault.settings")

# a page has two seconds, also while a database says nothing, or somebody else writes
guard.switch_on()
sqlite.wait_as_a_page()
application = get_wsgi_application()
# after the settings are read, which say more about other mistakes
require_shared("every web session")
