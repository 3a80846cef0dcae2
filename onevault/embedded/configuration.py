"""The server's settings: the deployment guide's, its log switched on, and what a small cluster needs."""

from __future__ import annotations

from collections.abc import Mapping

# "Required PostgreSQL Configuration" of the deployment guide.
GUIDE = {
    "log_lock_waits": "on",
    "deadlock_timeout": "1s",
    "log_statement": "ddl",
    "log_min_duration_statement": "1000",
}


def server_settings(major: int) -> dict[str, str]:
    """The guide's settings and a log that the monitor can read; `major` is the server's major version."""
    return GUIDE | {
        "logging_collector": "on",
        # jsonlog came with PostgreSQL 15.
        "log_destination": "stderr,csvlog,jsonlog" if major >= 15 else "stderr,csvlog",
        "log_directory": "log",
        "log_filename": "postgresql-%a.log",  # a week, then each file is written anew
        "log_rotation_age": "1d",
        "log_rotation_size": "0",
        "log_truncate_on_rotation": "on",
        "log_line_prefix": "%m [%p] %q%u@%d %a ",
        "lc_messages": "C",
        "max_connections": "150",
        "max_prepared_transactions": "10",
        "max_locks_per_transaction": "256",
        "password_encryption": "scram-sha-256",
    }


def as_file(settings: Mapping[str, str]) -> str:
    """The settings as lines of a configuration file."""
    lines = ["# Written at each start: put your own settings below the line that includes this file."]
    lines += [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in settings.items()]
    return "\n".join(lines) + "\n"
