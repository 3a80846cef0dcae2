"""Puts our admin site in the place of the stock one."""

from __future__ import annotations

from django.contrib.admin.apps import AdminConfig


class LockmonAdminConfig(AdminConfig):
    """The stock admin with our site class: same look, same login, our pages inside it."""

    default_site = "lockmon.admin_site.LockmonAdminSite"
