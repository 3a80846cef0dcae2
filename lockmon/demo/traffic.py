"""Plays the scenes of the demo until it is told to stop."""

from __future__ import annotations

import logging
import random
import threading

import psycopg

from lockmon.demo import scenes
from lockmon.demo.actors import Stage

logger = logging.getLogger("lockmon.demo")


def play(conninfo: str, ending: threading.Event, seed: int | None = None) -> None:
    """Play every scene of the programme again and again, each in its own thread, until `ending` is set.

    A database that is away for a moment is tried again every five seconds.
    """
    stage = Stage(conninfo, ending)
    while not ending.is_set():
        try:
            scenes.tables(stage)
            break
        except psycopg.Error as error:
            logger.warning("The demo waits for its database: %s", str(error).strip())
            stage.pause(5)
    threads = [
        threading.Thread(target=_again_and_again, args=(stage, number, random.Random(seed)), daemon=True)  # noqa: S311
        for number in range(len(scenes.PROGRAMME))
    ]
    for thread in threads:
        thread.start()
    ending.wait()
    for thread in threads:
        thread.join(timeout=3)


def _again_and_again(stage: Stage, number: int, chance: random.Random) -> None:
    scene, shortest, longest = scenes.PROGRAMME[number]
    # The first round comes soon, one scene after the other, so that a newcomer has something to see.
    if stage.pause(1 + 4 * number):
        return
    while True:
        scene(stage, chance)
        if stage.pause(chance.uniform(shortest, longest)):
            return
