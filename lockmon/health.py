"""Health endpoints: /healthz says that the web answers, /readyz that somebody watches. Both without login,
no secrets."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from lockmon.monitor import watchdog


@require_safe
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """200 as long as this process answers; asks no database."""
    return HttpResponse("ok\n", content_type="text/plain; charset=utf-8")


@require_safe
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """200 while every vault is watched, else 503. Says no more than a load balancer needs: reasons may
    name people.

    A part that fails is named under ``without`` and leaves the code at 200: sending the web's requests
    elsewhere would mend nothing. ``disarmed`` names vaults that are copies: they are watched, nothing acts.
    """
    states = {alias: watchdog.examine(alias) for alias in settings.VAULT_ALIASES}
    ready = all(state.watching for state in states.values())
    answer: dict[str, object] = {
        "ready": ready,
        "watching": {alias: state.watching for alias, state in states.items()},
        "without": {alias: list(state.without) for alias, state in states.items() if state.without},
    }
    if disarmed := [alias for alias, state in states.items() if state.disarmed]:
        answer["disarmed"] = disarmed
    return JsonResponse(answer, status=200 if ready else 503)
