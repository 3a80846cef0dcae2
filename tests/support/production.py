"""What docs/production.md and the units of deploy/systemd say, for tests that do it."""

from __future__ import annotations

import configparser
import re
import urllib.error
import urllib.request
from pathlib import Path

PREFIX = "/opt/one_vault/lock-monitor/"
"""Where the units expect the project."""


def unit(root: Path, name: str) -> configparser.SectionProxy:
    """The [Service] section of a unit."""
    parser = configparser.ConfigParser(interpolation=None, comment_prefixes=("#",), strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(root / "deploy" / "systemd" / f"onevault-{name}.service", encoding="utf-8")
    return parser["Service"]


def shell_lines(document: Path, heading: str | None = None) -> list[str]:
    """The lines of a document's shell blocks, or of those below one heading."""
    text = document.read_text(encoding="utf-8")
    if heading is not None:
        text = text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def answer(address: str, timeout: float = 10) -> tuple[int, str]:
    """Status and text of a page; 0 where nobody answers."""
    try:
        with urllib.request.urlopen(address, timeout=timeout) as page:
            return page.status, page.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except (urllib.error.URLError, OSError):
        return 0, ""
