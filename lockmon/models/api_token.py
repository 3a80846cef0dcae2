"""Tokens of the JSON API: each belongs to a person, whose groups say what it may see."""

from __future__ import annotations

import hashlib
import secrets

from django.conf import settings
from django.db import models


def digest(token: str) -> str:
    """Return what is kept of a token. A token has 256 random bits, so a plain hash cannot be guessed back."""
    return hashlib.sha256(token.encode()).hexdigest()


class ApiToken(models.Model):
    """A token's digest; the token itself is shown once, when it is made."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, help_text="What uses it.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    made_at = models.DateTimeField("made", auto_now_add=True)
    expires_at = models.DateTimeField("expires", null=True, blank=True)

    class Meta:
        verbose_name = "API token"
        verbose_name_plural = "API tokens"
        default_permissions = ("view", "delete")
        ordering = ("user", "name")

    def __str__(self) -> str:
        return f"{self.name} of {self.user}"

    @classmethod
    def make(cls, **values: object) -> tuple[ApiToken, str]:
        """Create one; returns it and the token, which is not kept."""
        token = secrets.token_urlsafe(32)
        return cls.objects.create(digest=digest(token), **values), token
