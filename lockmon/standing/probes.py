"""/healthz, /readyz and /metrics, answered before anything else looks at a request.

Who asks is a container's HEALTHCHECK, a load balancer, Prometheus: by an address (`Host: 127.0.0.1`), without
TLS and without a cookie. So they come before ALLOWED_HOSTS, the redirect to https and the sessions, and
open no database of the web.
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from lockmon import health, metrics
from onevault import security

Answer = Callable[[HttpRequest], HttpResponse]

PROBES: dict[str, Answer] = {
    "/healthz": health.healthz,
    "/readyz": health.readyz,
    "/metrics": metrics.metrics,
}


def probes(get_response: Answer) -> Answer:
    """Middleware, the first of all."""

    def middleware(request: HttpRequest) -> HttpResponse:
        view = PROBES.get(request.path_info)
        if view is None:
            return get_response(request)
        response = view(request)
        for name, value in security.HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        return response

    return middleware
