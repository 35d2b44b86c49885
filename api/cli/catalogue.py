"""`ticketbook catalogue`: which systems there are."""

import time
from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import Json
from api.cli.output import counted, example, print_json, print_table, reporting, say
from infrastructure.configuration.catalogue_file import CatalogueFile
from infrastructure.configuration.settings import load_settings

app = typer.Typer(name="catalogue", help="The systems and their features.", no_args_is_help=True)

File = Annotated[Path | None, typer.Argument(help="Default: the configured one.")]


@app.command("check", epilog=example("ticketbook catalogue check new.toml"))
def check(file: File = None) -> None:
    """Say whether a catalogue file is good, and where it is not."""
    catalogue = _load(file)
    features = sum(len(system.features) for system in catalogue.current().systems.values())
    systems = len(catalogue.current().systems)
    say(f"{catalogue.path} is good: {counted(systems, 'system')}, {counted(features, 'feature')}.")


@app.command("show", epilog=example("ticketbook catalogue show --json"))
def show(file: File = None, json: Json = False) -> None:
    """Print every system and feature."""
    systems = _load(file).current().systems.values()
    if json:
        print_json(
            [
                {
                    "name": system.name,
                    "description": system.description,
                    "features": dict(system.features),
                }
                for system in systems
            ]
        )
    else:
        rows = [
            (system.name, feature, description)
            for system in systems
            for feature, description in system.features.items()
        ]
        print_table(["system", "feature", "allows"], rows)


def _load(file: Path | None) -> CatalogueFile:
    with reporting():
        return CatalogueFile(file or load_settings().catalogue, time.monotonic)
