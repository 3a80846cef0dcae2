"""How much somebody who is not logged in can make the web server keep, and for how long."""

from __future__ import annotations

BODY_BYTES = 64 * 1024
"""The largest body of a request, whoever sends it; a file to the page that imports logs is the exception."""
HEAD_BYTES = 16 * 1024
"""The largest request line with its headers."""
READ_BYTES = 16 * 1024
"""What is read from a connection at once."""
BUFFER_BYTES = 48 * 1024
"""What a connection's buffer holds at most; it must have room for a head and a piece."""

ALL_BODIES = 6 * 1024 * 1024
"""Bodies that have arrived, or are arriving, in all processes together."""
ALL_CONNECTIONS = 192
"""Connections of all processes together: each may fill its buffer, which makes 9 MB."""
LEAST_CONNECTIONS = 16
"""Connections of one process, however many there are; with more than 12 processes the sum grows."""
ACCEPTED_AT_ONCE = 16
"""Connections that are accepted before those who are connected have their turn again."""
NO_ROOM_SECONDS = 0.05
"""After so long a process that has no room for a new connection looks again."""

HEAD_SECONDS = 10.0
"""From the beginning of a connection, or the end of the last answer, to the end of the next head."""
BODY_SECONDS = 20.0
"""From the end of the head to the end of the body."""
SEND_SECONDS = 30.0
"""Until the reader of an answer has taken the next piece of it."""
SEND_BYTES = 16 * 1024
"""The largest such piece."""
LINGER_SECONDS = 2.0
"""For so long the rest of a body that was refused is read and dropped, so that its sender hears why."""
SLOW_READER_SECONDS = 5.0
"""Once a connection has read answers for so long, all together, it may be closed to make room."""

UPLOAD_PIECES_BYTES = 256 * 1024
"""What of a file has arrived and has not been read yet."""
UPLOAD_PAUSE_SECONDS = 30.0
"""The longest pause within a file."""
UPLOAD_SECONDS = 1800.0
"""The longest time that a file may take."""
