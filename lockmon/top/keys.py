"""Single keys from a terminal, without waiting for Enter."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager

UP, DOWN, ENTER, FOLD, QUIT = "up", "down", "enter", "fold", "q"
_SEQUENCES = {
    b"\x1b[A": UP,
    b"\x1bOA": UP,
    b"\x1b[B": DOWN,
    b"\x1bOB": DOWN,
    b"\r": ENTER,
    b"\n": ENTER,
    b" ": FOLD,
    b"f": FOLD,
    b"k": UP,
    b"j": DOWN,
    b"\x03": QUIT,
    b"\x1b": "escape",
}


@contextmanager
def single_keys() -> Iterator[None]:
    """Let keys arrive one by one and unseen; the terminal is as before at the end, whatever happens."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextmanager
def whole_lines() -> Iterator[None]:
    """Within single_keys(): let a question be answered with a whole line that can be seen."""
    descriptor = sys.stdin.fileno()
    single = termios.tcgetattr(descriptor)
    seen = termios.tcgetattr(descriptor)
    seen[3] |= termios.ICANON | termios.ECHO
    try:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, seen)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, single)


def read_key(seconds: float) -> str | None:
    """Return the next key, by name or as its letter; None if none came within so many seconds."""
    descriptor = sys.stdin.fileno()
    ready, _, _ = select.select([descriptor], [], [], max(0.0, seconds))
    if not ready:
        return None
    data = os.read(descriptor, 16)
    if not data:
        return QUIT
    return _SEQUENCES.get(data) or data[:1].decode("ascii", "replace").lower()
