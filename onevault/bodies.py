"""What a request may bring: a small body for everybody, a file for who may import a log, on that page alone.

onevault.server refuses what is too large before a thread sees it. This is the rule itself, and it holds under
any other server too: it stands behind the session, so that it knows who asks, and before the first reader
of a body, which is CSRF's check of the view (a middleware's own part runs before every check of a view).
"""

from __future__ import annotations

from collections.abc import Callable

from django.core.files.uploadhandler import load_handler
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from lockmon.groups import CHANGE_SETTINGS
from lockmon.sessions import ended_sentence, is_over
from onevault.server.limits import BODY_BYTES

UPLOAD_HANDLERS = (
    "lockmon.uploads.SizeLimit",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
)


def upload_paths() -> frozenset[str]:
    """The addresses that take a file: the page that imports server logs."""
    return frozenset({reverse("admin:lockmon_log_import")})


def _may_send_a_file(request: HttpRequest) -> bool:
    return (
        request.method == "POST"
        and request.path in upload_paths()
        and bool(request.user.is_active and request.user.is_staff and request.user.has_perm(CHANGE_SETTINGS))
        and not is_over(request)
    )


def _length(request: HttpRequest) -> int:
    """What the request says; Django reads no more than that, and nothing where nothing is said."""
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0


def limit_bodies(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: 413 for a body that is too large, unread; files go nowhere but to the import page."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if _may_send_a_file(request):
            request.upload_handlers = [load_handler(name, request) for name in UPLOAD_HANDLERS]
        elif _length(request) > BODY_BYTES:
            sentence, code = f"The request is larger than {BODY_BYTES // 1024} kB.", 413
            if request.path in upload_paths() and request.user.is_authenticated and is_over(request):
                sentence, code = ended_sentence(), 401
            return HttpResponse(f"{sentence}\n", status=code, content_type="text/plain; charset=utf-8")
        return get_response(request)

    return middleware
