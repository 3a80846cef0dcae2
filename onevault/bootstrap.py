"""Makes the virtual environment with nothing but Python's own library.

Written for any Python 3, so that one that is too old can say so. Run by the Makefile:
    python3 onevault/bootstrap.py [dev]
Without "dev" only what the monitor needs to run is installed. Does nothing if all is as it should be.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from typing import NoReturn

LOWEST = (3, 11)
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")


def fail(sentence: str) -> NoReturn:
    """End with one sentence and exit code 2."""
    sys.stderr.write(sentence + "\n")
    sys.exit(2)


def silent(command: "list[str]") -> int:
    """The exit code of a command that says nothing."""
    return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def good_python() -> str:
    """The path of a Python that is new enough: this one, or the newest one on PATH."""
    if sys.version_info >= LOWEST:
        return sys.executable
    for minor in range(14, LOWEST[1] - 1, -1):
        found = shutil.which("python3.%d" % minor)
        if found:
            return found
    fail(
        "Python %d.%d or newer is needed, this is %d.%d: install it, "
        "or name it with 'make PYTHON=/path/to/python3'." % (LOWEST + tuple(sys.version_info[:2]))
    )


def wanted(kind: str) -> str:
    """What the environment should be made of: a digest of the requirement files."""
    digest = hashlib.sha256()
    names = ("server.txt", "runtime.txt", "dev.txt")
    for name in names if kind == "dev" else names[:2]:
        with open(os.path.join(ROOT, "requirements", name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def present(kind: str) -> bool:
    """Whether the environment holds this already (the one for development holds the other too)."""
    if not os.path.exists(PYTHON) or silent([PYTHON, "-c", "pass"]) != 0:
        return False
    for candidate in ("dev",) if kind == "dev" else ("dev", "runtime"):
        try:
            with open(os.path.join(VENV, "installed-" + candidate)) as file:
                if file.read().strip() == wanted(candidate):
                    return True
        except OSError:
            pass
    return False


def make_environment(python: str) -> None:
    """Create .venv, or mend a broken one."""
    if os.path.exists(PYTHON) and silent([PYTHON, "-m", "pip", "--version"]) == 0:
        return
    made = subprocess.run(
        [python, "-m", "venv", "--clear", VENV], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if made.returncode != 0:
        said = made.stdout.decode("utf-8", "replace")
        if "ensurepip" in said:
            fail(
                "This Python cannot make virtual environments: "
                "install its venv package (Debian, Ubuntu: python3-venv)."
            )
        fail("The virtual environment .venv could not be made: " + " ".join(said.split())[-300:])


def main() -> None:
    """Make or bring up to date the environment."""
    kind = "dev" if "dev" in sys.argv[1:] else "runtime"
    python = good_python()
    if present(kind):
        return
    sys.stdout.write("Preparing .venv (once, about a minute) ...\n")
    sys.stdout.flush()
    make_environment(python)
    command = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["-r", os.path.join(ROOT, "requirements", kind + ".txt")]
    installed = subprocess.run(command, stderr=subprocess.PIPE, check=False)
    if installed.returncode != 0:
        lines = [
            line
            for line in installed.stderr.decode("utf-8", "replace").splitlines()
            if line.strip() and not line.startswith("WARNING")
        ]
        fail(
            "The packages could not be installed (is the package index reachable?): " + " ".join(lines)[-400:]
        )
    with open(os.path.join(VENV, "installed-" + kind), "w") as file:
        file.write(wanted(kind) + "\n")


if __name__ == "__main__":
    main()
