"""An export takes the same memory however long it is, and both formats have as many entries."""

from pathlib import Path
from typing import Final

from infrastructure.configuration.settings import load_settings
from infrastructure.keys.signing_key import signing_key_of
from tests.bench.export import MEMORY, made, ran
from tests.support.server import environment

FEW: Final = 500
MANY: Final = 10_000
AROUND: Final = {"ndjson": 1, "csv": 2}
"""Lines that hold no entry: the head, and the names of the columns."""


def test_twenty_times_the_entries_take_no_more_memory(store_url: str, tmp_path: Path) -> None:
    settings = environment(store_url)
    made(settings, MANY)
    exported, public = tmp_path / "exported", tmp_path / "ticketbook.pub"
    public.write_text(signing_key_of(load_settings(settings)).public.pem)
    for style, around in AROUND.items():
        command = ["audit", "export", "--format", style]
        few = ran([*command, "--before-position", str(FEW + 1)], exported, settings)
        assert exported.read_bytes().count(b"\n") == FEW + around
        many = ran(command, exported, settings)
        assert exported.read_bytes().count(b"\n") == MANY + around
        checking = ["audit", "verify", "--export", str(exported), "--key", str(public)]
        checked = ran(checking, tmp_path / "checked", {})

        assert many.memory < few.memory + 20
        assert max(many.memory, checked.memory) < MEMORY
