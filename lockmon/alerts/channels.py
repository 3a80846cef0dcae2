"""Recipients: e-mail addresses, and ``channel:name`` for URLs that are kept in the environment or the
settings."""

from __future__ import annotations

import os
import re
from urllib.parse import parse_qsl, unquote, urlsplit

from django.conf import settings

PREFIX = "channel:"
_NAME = re.compile(r"^[A-Za-z0-9_-]{1,50}$")
_ADDRESS = re.compile(r"^[^@\s:/,]+@[^@\s:/,]+$")


class UnknownChannelError(LookupError):
    """Raised where no URL is configured for a channel; its text is a sentence for people."""


def check_recipient(text: str) -> str | None:
    """Return why this is not a recipient, in one sentence; None if it is one."""
    if text.startswith(PREFIX):
        name = text.removeprefix(PREFIX)
        if not _NAME.match(name):
            return f"“{text}”: a channel's name has letters, digits, - and _ only."
        try:
            channel_url(name)
        except UnknownChannelError as error:
            return str(error)
        return None
    if "://" in text:
        return (
            "A URL carries its secret with it and does not belong here: set LOCKMON_CHANNEL_<NAME> in the "
            "environment and write channel:name."
        )
    if not _ADDRESS.match(text):
        return f"“{text}” is neither an e-mail address nor channel:name."
    return None


def channel_names() -> list[str]:
    """Return the names of the configured channels, never their URLs."""
    named = {str(name).lower() for name in getattr(settings, "LOCKMON_CHANNELS", {})}
    named |= {
        key.removeprefix("LOCKMON_CHANNEL_").lower()
        for key in os.environ
        if key.startswith("LOCKMON_CHANNEL_")
    }
    return sorted(named)


def channel_url(name: str) -> str:
    """Return the URL of a channel, from settings.LOCKMON_CHANNELS or the environment. It is a secret.

    Raises UnknownChannelError.
    """
    configured = {
        str(key).lower(): str(url) for key, url in getattr(settings, "LOCKMON_CHANNELS", {}).items()
    }
    variable = "LOCKMON_CHANNEL_" + name.upper().replace("-", "_")
    url = configured.get(name.lower()) or os.environ.get(variable, "")
    if not url.strip():
        raise UnknownChannelError(
            f"The channel “{name}” is not configured: set {variable} where the tasks run."
        )
    return url.strip()


def scrub(text: str, *secrets: str) -> str:
    """Return text without the secrets, without any piece of a secret URL, and without any other URL.

    Pieces: user, password, path segments and query values of six characters or more, quoted or not.
    """
    pieces: set[str] = set()
    for secret in filter(None, secrets):
        pieces.add(secret)
        parts = urlsplit(secret)
        if not parts.netloc:
            continue
        words = re.split(r"[/:@?&=#,;]", secret.split("://", 1)[-1])
        words += [value for _, value in parse_qsl(parts.query)]
        host = (parts.hostname or "").lower()
        pieces |= {word for word in (*words, *map(unquote, words)) if len(word) >= 6 and word.lower() != host}
    for piece in sorted(pieces, key=len, reverse=True):
        text = text.replace(piece, "***")
    return re.sub(r"[A-Za-z][A-Za-z0-9+.-]*://\S+", "***", text)
