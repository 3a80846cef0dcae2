"""What is signed for other processes needs a SECRET_KEY that they have, too.

Web sessions, signed links and the messages of the task queue are signed with it. A command needs none.
"""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

MISSING = (
    "SECRET_KEY is not set, and {} with it: make one with 'openssl rand -hex 32', keep it out of the "
    "repository, and set it for the web, the task queue and the loop alike."
)


def require_shared(what: str) -> None:
    """ImproperlyConfigured, one sentence, where this process has a key that no other has.

    what: what needs it, as the beginning of "... is signed".
    """
    if not getattr(settings, "SECRET_KEY_SHARED", True):
        raise ImproperlyConfigured(MISSING.format(f"{what} is signed"))
