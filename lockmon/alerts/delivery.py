"""Sending: takes messages from the outbox one by one, in a django-q task of its own, never in the
evaluator's thread."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import apprise
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.utils import DNS_NAME
from django.db import connections

from lockmon import errors, keys, vault
from lockmon.calls import alert_messages as calls
from lockmon.views.context import vault_name

from . import channels, messages

log = logging.getLogger("lockmon.alerts")

LEASE_SECONDS = 60
"""A claimed message whose sender has not said anything for this long is sent again."""
ROUND_SECONDS = 40.0
"""How long one task goes on taking messages; the next one takes the rest."""
TASK_TIMEOUT = 90
"""Seconds until django-q ends a task that hangs in spite of the timeouts of mail and channels."""
SEND_SECONDS = 10
"""Timeout of one mail connection."""


class NotSentError(Exception):
    """Raised where a message could not be handed over; its text is a sentence without secrets."""


class _Listener(logging.Handler):
    """Keeps what apprise says while one message is sent."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@contextmanager
def _listening() -> Iterator[_Listener]:
    """Keep the words of apprise and of its HTTP client to ourselves: they hold the URL, so no other handler
    gets them, at whatever level the site logs."""
    listener = _Listener()
    loggers = [
        logging.getLogger(name) for name in ("apprise", "urllib3", "requests_oauthlib", "charset_normalizer")
    ]
    before = [(logger.propagate, logger.handlers[:]) for logger in loggers]
    for logger in loggers:
        logger.propagate, logger.handlers = False, [listener]
    try:
        # Its plugins import what Python will drop one day; that is theirs to mend.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield listener
    finally:
        for logger, (propagate, handlers) in zip(loggers, before, strict=True):
            logger.propagate, logger.handlers = propagate, handlers


def _send_mail(address: str, message: messages.Message, key: str) -> None:
    try:
        with get_connection(fail_silently=False, timeout=SEND_SECONDS) as connection:
            mail = EmailMultiAlternatives(
                message.subject, message.text, settings.DEFAULT_FROM_EMAIL, [address], connection=connection
            )
            # The same message sent twice has the same identity, so that mail programs show it once.
            mail.extra_headers["Message-ID"] = f"<lockmon-{key}@{DNS_NAME}>"
            mail.attach_alternative(message.html, "text/html")
            mail.send()
    except TypeError:
        raise
    except Exception as error:
        said = channels.scrub(f"{type(error).__name__}: {error}", settings.EMAIL_HOST_PASSWORD or "", address)
        raise NotSentError(f"The mail server did not take it: {said}") from None


def _send_to_channel(name: str, message: messages.Message) -> None:
    try:
        url = channels.channel_url(name)
    except channels.UnknownChannelError as error:
        raise NotSentError(str(error)) from None
    with _listening() as listener:
        try:
            target = apprise.Apprise()
            taken = target.add(url) and target.notify(
                title=message.subject, body=message.text, body_format=apprise.NotifyFormat.TEXT
            )
            problem = ""
        except Exception as error:
            taken, problem = False, f"{type(error).__name__}: {error}"
    if not taken:
        said = channels.scrub(problem or " ".join(listener.said), url) or "apprise gave no reason"
        raise NotSentError(f"The channel “{name}” did not take it: {said[:400]}")


def hand_over(recipient: str, message: messages.Message, key: str) -> None:
    """Send one message to an address or channel:name; key makes it recognisable. Raises NotSentError with
    a sentence without
    secrets."""
    if recipient.startswith(channels.PREFIX):
        _send_to_channel(recipient.removeprefix(channels.PREFIX), message)
    else:
        _send_mail(recipient, message, key)


def send_one(alias: str) -> bool:
    """Send one message of this vault's outbox, if one is due; True if there was one, sent or not.

    Claimed, sent and recorded in three transactions, so that no lock is held while a channel is slow.
    Raises
    django.db.Error where the vault cannot be reached.
    """
    with vault.admin_transaction(alias) as cursor:
        claimed = calls.claim_alert_message(cursor, LEASE_SECONDS)
    if claimed is None:
        return False
    started, problem = datetime.now(UTC), None
    try:
        written = messages.write(claimed.kind, claimed.context, vault_name(alias))
        hand_over(
            claimed.recipient, written, f"{alias}-{claimed.message_id}-{claimed.created_at:%Y%m%d%H%M%S%f}"
        )
    except NotSentError as error:
        problem = str(error)
    except Exception as error:
        # Whatever is wrong with one message must not stop the others; its log line names it.
        problem = f"The message could not be written: {type(error).__name__}: {channels.scrub(str(error))}"
    with vault.admin_transaction(alias) as cursor:
        state = calls.finish_alert_message(
            cursor, claimed.message_id, claimed.attempt, started, problem is None, problem
        )
    if problem:
        log.warning(
            "Alert message %s, attempt %s, is %s: %s", claimed.message_id, claimed.attempt, state, problem
        )
    return True


def send_waiting(alias: str = "vault") -> str:
    """Send what is due until nothing is, at most for ROUND_SECONDS. Returns a sentence. The task of
    django-q."""
    until, tried = time.monotonic() + ROUND_SECONDS, 0
    while time.monotonic() < until and send_one(alias):
        tried += 1
    warm_up()
    return f"{tried} alert messages tried." if tried != 1 else "1 alert message tried."


def warm_up() -> None:
    """Load apprise's plugins, once in a process, so that the first message to a channel does not wait for
    it."""
    with _listening():
        apprise.Apprise.instantiate("json://localhost")


def request_sending(alias: str, tasks: int = 1) -> None:
    """Queue the task that sends. Raises the queue's own error where it cannot be reached, and
    ImproperlyConfigured where it could not read what it is given."""
    from django_q.tasks import async_task

    keys.require_shared("a task of the queue")
    for _ in range(tasks):
        async_task(
            "lockmon.alerts.delivery.send_waiting",
            alias,
            q_options={
                "task_name": f"alert-messages-{os.getpid()}-{time.monotonic_ns()}",
                "timeout": TASK_TIMEOUT,
                "save": False,
            },
        )


def send_in_own_thread(alias: str) -> None:
    """Send what is due without the queue: the way out where no cluster of django-q runs."""
    try:
        send_waiting(alias)
    except Exception as error:
        log.error("Alert messages could not be sent: %s", channels.scrub(errors.told(error)))
    finally:
        connections.close_all()
