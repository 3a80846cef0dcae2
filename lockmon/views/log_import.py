"""The page on which an admin imports a server log: read piece by piece, kept nowhere but as its records."""

from __future__ import annotations

from typing import IO, cast

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.db import DataError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from .. import errors, vault
from ..groups import CHANGE_SETTINGS, VIEW_QUERY_TEXT
from ..logfiles import LogFileError
from ..models import DeadlockEvent
from ..monitor.log_pieces import FileRead
from ..monitor.logs import Ways, read_stream, remarks
from ..uploads import limit_bytes, was_too_large
from . import words
from .context import VAULT, needs, page

TITLE = "Import a server log"
WAYS = Ways("in the field log_line_prefix", "in the field log_timezone")
SENT_BY_SCRIPT = "X-Lockmon-Upload"
UNPACKED_TIMES = 16
"""A compressed file may come to so many times the limit of uploads."""


class LogForm(forms.Form):
    """The file, and how it was written: the prefix of a stderr log, the time zone."""

    file = forms.FileField(
        label="Log file",
        allow_empty_file=True,
        help_text="Also gzip, syslog, and what containers and managed services export.",
        error_messages={"required": "Choose a file.", "missing": "Choose a file."},
    )
    log_line_prefix = forms.CharField(
        label="log_line_prefix",
        required=False,
        strip=False,
        max_length=200,
        help_text="Only for a stderr log of another server. Empty: the prefix of this vault's server.",
        widget=forms.TextInput(attrs={"size": 40, "autocomplete": "off"}),
    )
    time_zone = forms.CharField(
        label="log_timezone",
        required=False,
        max_length=100,
        help_text="Of a log of another server, for example Asia/Kolkata. Empty: this vault's server's.",
        widget=forms.TextInput(attrs={"size": 40, "autocomplete": "off"}),
    )


def told(name: str, read: FileRead, new: int) -> str:
    """Return what an import came to, in one sentence."""
    text = (
        # a file's name stays as it is: Django's admin writes the first letter of a message large
        f"Import of {words.one_line(name, 80)} ({read.form}): {words.some(read.records, 'new record')} about"
        f" locks{read.of_them} in {read.read:,} bytes, {words.some(new, 'new deadlock')} in the history"
    )
    if read.start:
        text += f"; read on from byte {read.start:,}, where the last import of it ended"
    if read.unreadable:
        text += f"; {words.some(read.unreadable, 'record')} could not be read: cut short, or of another form"
    return " ".join([f"{text}.", *remarks(read, WAYS)])


def _deadlocks() -> int:
    return int(DeadlockEvent.objects.using(VAULT).filter(load_end_date=None).count())


def _import(form: LogForm, see_text: bool) -> str | None:
    """Read the form's file; the sentence, or None with the reason among the form's errors."""
    upload = form.cleaned_data["file"]
    prefix = form.cleaned_data["log_line_prefix"] or None
    before = _deadlocks()
    try:
        read = read_stream(
            cast("IO[bytes]", upload.file),
            f"The uploaded file {upload.name}",
            lambda: vault.admin_transaction(VAULT),
            None,
            prefix,
            form.cleaned_data["time_zone"] or None,
            ways=WAYS,
            unpacked_limit=UNPACKED_TIMES * limit_bytes(),
        )
    except LogFileError as error:
        form.add_error("file", str(error))
    except DataError as error:
        of_zone = getattr(getattr(error.__cause__, "diag", None), "column_name", None) == "time_zone"
        form.add_error("time_zone" if of_zone else "log_line_prefix", errors.for_person(error, see_text))
    else:
        return told(upload.name, read, _deadlocks() - before)
    return None


@needs(CHANGE_SETTINGS)
def log_import(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """GET: the form. POST: take what the file says about locks, and say in one sentence what that was."""
    megabytes = limit_bytes() // 1024**2
    form = LogForm(request.POST, request.FILES) if request.method == "POST" else LogForm()
    if request.method == "POST" and was_too_large(request):
        form.fields["file"].error_messages["required"] = (
            f"The file is larger than {megabytes} MB: on a machine that has the file,"
            " manage.py lockmon_read_log FILE takes any size."
        )
    see_text = request.user.has_perm(VIEW_QUERY_TEXT)
    done = _import(form, see_text) if form.is_bound and form.is_valid() else None
    if done:
        messages.success(request, done)
        # our script goes to the page itself: it would follow a redirect unseen, and the message be gone
        return (
            HttpResponse(status=204)
            if SENT_BY_SCRIPT in request.headers
            else HttpResponseRedirect(request.path)
        )
    return page(request, site, "lockmon/log_import.html", TITLE, form=form, megabytes=megabytes)
