"""Health endpoints: /healthz says that the web answers, /readyz that somebody watches. Without login, and
without the web's own database.

Strangers learn the state's word. What it consists of is for this host and for the bearer of METRICS_TOKEN.
"""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from lockmon.metrics import bears_token
from lockmon.monitor import watchdog
from onevault import proxies

WATCHING = "watching"
WITHOUT = "watching, without a part"
NOT_WATCHING = "not watching"


@require_safe
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """200 as long as this process answers; asks no database."""
    return HttpResponse("ok\n", content_type="text/plain; charset=utf-8")


@require_safe
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """200 while every vault is watched, else 503, with the state's word: reasons may name people.

    To this host and to METRICS_TOKEN as JSON: ``watching`` says it of each vault. A part that fails is named
    under ``without`` and leaves the code at 200: sending the web's requests elsewhere would mend nothing.
    ``disarmed`` names vaults that are copies: they are watched, nothing acts.
    """
    states = {alias: watchdog.readiness(alias) for alias in settings.VAULT_ALIASES}
    ready = all(state.watching for state in states.values())
    status = 200 if ready else 503
    if not (bears_token(request) or proxies.is_this_host(request)):
        word = WATCHING if ready else NOT_WATCHING
        if ready and any(state.without for state in states.values()):
            word = WITHOUT
        return HttpResponse(f"{word}\n", status=status, content_type="text/plain; charset=utf-8")
    answer: dict[str, object] = {
        "ready": ready,
        "watching": {alias: state.watching for alias, state in states.items()},
        "without": {alias: list(state.without) for alias, state in states.items() if state.without},
    }
    if disarmed := [alias for alias, state in states.items() if state.disarmed]:
        answer["disarmed"] = disarmed
    return JsonResponse(answer, status=status)
