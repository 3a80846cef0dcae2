"""Reports that were made, for the admin."""

from __future__ import annotations

from django.db import models


class PastReport(models.Model):
    """One report as it was made; kept in Django's own database, so that cleanup of the vault does not take
    it."""

    vault_alias = models.CharField("database", max_length=100)
    period = models.CharField(max_length=10)
    period_start = models.DateTimeField("from")
    period_end = models.DateTimeField("to")
    made_at = models.DateTimeField("made", auto_now_add=True)
    title = models.CharField(max_length=200)
    summary = models.TextField()
    markdown = models.TextField()
    html = models.TextField()
    sent_to = models.TextField("sent to", blank=True)

    class Meta:
        verbose_name = "report"
        verbose_name_plural = "reports"
        default_permissions = ("view",)
        ordering = ("-period_end",)

    def __str__(self) -> str:
        return self.title
