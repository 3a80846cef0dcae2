"""Log files as they come from elsewhere, turned into one of the three forms that lock_log.ingest() reads.

`opening` puts the steps together: what is it (`kinds`), unpack it (`streams`), take the lines out of what
a collector has put around them (`envelopes`, `syslog`) or out of a JSON export (`exports`).
"""

from __future__ import annotations


class LogFileError(Exception):
    """The file cannot be read as a PostgreSQL log; the message is one sentence that says why, and what to
    do."""
