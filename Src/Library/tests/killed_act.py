"""A process that carries out an act, or goes on with it, and is killed by the test meanwhile.

It begins when a line comes, and says `done` in the end.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from Src.Library.file_acts import FileActs
from Src.Library.vault import Vault
from Src.Shared.database import Database
from Src.Shared.settings import load_settings

NAME = "killed act"  # of its sessions


def main() -> None:
    factory, url, kind, parameters, hashes = json.loads(sys.argv[1])
    settings = load_settings({"FACTORY_DATA": factory, "DATABASE_URL": url}, env_file=Path(factory) / "no.env")
    vault, database = Vault(settings.storage), Database(settings, service=NAME)
    acts = FileActs(vault, database, settings.zone)
    acts.open_acts()  # connected, and all is loaded
    print("ready", flush=True)
    sys.stdin.readline()
    with acts.turn() as mine:
        assert mine
        for act_id in acts.open_acts():
            for _ in acts.steps(act_id):
                pass
        if kind:
            with acts.session() as session:
                act = acts.begin(session, kind, "ada", hashes, parameters)
            for _ in acts.steps(act.id):
                pass
    print("done", flush=True)


if __name__ == "__main__":
    main()
