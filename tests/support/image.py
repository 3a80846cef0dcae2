"""The files of the container's image, without Docker: what the Dockerfile copies, of what is sent."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.support.loops import ROOT


def _pattern(line: str) -> re.Pattern[str]:
    """A line of .dockerignore as an expression: ** is any number of folders, * stays within a name."""
    words = {"**/": "(?:.*/)?", "*": "[^/]*", ".": r"\."}
    text = re.sub(r"\*\*/|\*|\.", lambda found: words[found[0]], line.rstrip("/"))
    return re.compile(f"{text}(?:/.*)?")


def sent(path: str) -> bool:
    """Whether a file, by its path from the project's root, is sent to the builder: the last line that fits
    says so."""
    let = True
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#") and _pattern(line.removeprefix("!")).fullmatch(path):
            let = line.startswith("!")
    return let


def lines(instruction: str) -> list[str]:
    """What the Dockerfile says after an instruction, once for each."""
    text = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    return re.findall(rf"^{instruction} (.+)$", text, re.MULTILINE)


def copied() -> list[str]:
    """The image's files of the project, by their paths."""
    found = []
    for line in lines("COPY"):
        *sources, _target = line.split()
        for source in sources:
            place = ROOT / source
            files = [place] if place.is_file() else [one for one in place.rglob("*") if one.is_file()]
            found += [str(one.relative_to(ROOT)) for one in files]
    return [path for path in found if sent(path)]


def build(folder: Path) -> None:
    """Put the image's files into a folder."""
    for path in copied():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, folder / path)
