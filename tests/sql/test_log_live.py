"""What the server of the tests logs about locks just now, in all formats, and what its clients get."""

from __future__ import annotations

import psycopg
import pytest

from tests.support import log_scenes
from tests.support.log_compare import against_clients, against_csvlog, read
from tests.support.log_play import DATABASE, Player, log_files, prepared, settled
from tests.support.log_prefixes import Shape
from tests.support.log_render import DEFAULT, read_csv
from tests.support.recordings import Recorded
from tests.support.servers import Server


@pytest.mark.slow
def test_all_formats_hold_what_the_clients_get(server: Server, vault_db: str) -> None:
    with prepared(server), psycopg.connect(vault_db) as vault:
        files = log_files(server)
        before = settled(server, files)
        player = Player(server, DATABASE, files["csvlog"])
        for scene in log_scenes.SCENES:
            player.play(scene)
        if server.version >= 18:
            player.play(log_scenes.refusals_that_name_the_holder)
        player.close()
        after = settled(server, files)
        logged = {form: path.read_bytes()[before[form] : after[form]] for form, path in files.items()}
        prefix = vault.execute("SHOW log_line_prefix").fetchone()
        assert prefix is not None
        recorded = Recorded(
            "en", logged["csvlog"], logged.get("jsonlog", b""), logged["stderr"],
            tuple(read_csv(logged["csvlog"])), tuple(player.facts), {},
        )  # fmt: skip
        of_csv, _, _ = read(vault, "csvlog", recorded.csvlog)
        assert against_clients(of_csv, recorded) == []
        for form in files.keys() - {"csvlog"}:
            shape = Shape(prefix[0], DEFAULT) if form == "stderr" else None
            assert read(vault, form, logged[form], prefix[0])[2] == 0, "stored twice"
            vault.rollback()
            rows, _, _ = read(vault, form, logged[form], prefix[0])
            assert against_csvlog(rows, of_csv, recorded, shape) == []
            vault.rollback()
            read(vault, "csvlog", recorded.csvlog)
        vault.rollback()
