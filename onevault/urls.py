"""Where pages live."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from lockmon import api, health, metrics
from lockmon.standing import pages

handler400 = pages.bad_request
handler403 = pages.forbidden
handler404 = pages.not_found
handler500 = pages.server_error

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("api/tree", api.tree, name="api-tree"),
    path("api/episodes", api.episodes, name="api-episodes"),
    path("api/deadlocks", api.deadlock_events, name="api-deadlocks"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
]
