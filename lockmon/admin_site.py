"""The admin site: stock admin whose index is the overview, and our pages beside the changelists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, path
from django.utils.translation import gettext_lazy

from .asking import allow_listed
from .groups import VIEW_PAGES

View = Callable[..., HttpResponse]


class LockmonAdminSite(admin.AdminSite):
    """Stock admin look; the index is the overview for whoever may see the monitor's pages."""

    site_header = gettext_lazy("One Vault lock monitor")
    site_title = gettext_lazy("One Vault lock monitor")
    index_title = gettext_lazy("Overview")
    enable_nav_sidebar = False
    site_url = None
    login_template = "lockmon/login.html"

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Register a list; whoever brings it, it answers what it offers and nothing else (lockmon.asking)."""
        super().register(model_or_iterable, allow_listed(admin_class), **options)

    def get_urls(self) -> list[URLPattern | URLResolver]:
        from .views import routes

        ours: list[URLPattern | URLResolver] = [
            path(route, self.admin_view(view), name=name) for route, view, name in routes(self)
        ]
        # Nothing here has a page on another site: the stock shortcut to one would only fail.
        stock = [url for url in super().get_urls() if getattr(url, "name", None) != "view_on_site"]
        return ours + stock

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Log in, or say why not; whose session ended without use is told so."""
        from .logins import LoginForm, remember_browser
        from .sessions import ended_sentence

        self.login_form = LoginForm
        ended = ended_sentence() if request.GET.get("ended") == "idle" and request.method == "GET" else ""
        response = super().login(request, {**(extra_context or {}), "session_ended": ended})
        if request.method == "POST" and request.user.is_authenticated and response.status_code == 302:
            remember_browser(request, response)
        return response

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show the overview, or the stock index to staff without our permission."""
        if not request.user.has_perm(VIEW_PAGES):
            return super().index(request, extra_context)
        from .views.overview import overview

        return overview(request, self)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        from .views.context import each_page

        return {**super().each_context(request), **each_page(request, self)}
