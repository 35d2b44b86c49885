"""`ticketbook audit head | key`: kept elsewhere by auditors, who check the log with it later."""

import typer

from api.cli.journaling import record
from api.cli.opening import open_for_command
from api.cli.options import Json
from api.cli.output import example, log_for_people, print_json, print_line, print_table, reporting
from api.export.heads import signed_head
from api.use_cases.signing import signing_key
from infrastructure.configuration.settings import load_settings
from infrastructure.keys.signing_key import signing_key_of

app = typer.Typer()


@app.command("head", epilog=example("ticketbook audit head --json > head.json"))
def head(json: Json = False) -> None:
    """Print where the log ends, signed. Keep it elsewhere: it shows later whether the log was
    rewritten."""
    with open_for_command() as service:
        key = signing_key(service)
        record(service, "audit.head_read", {})
        signed = signed_head(service.log.ending(), service.clock(), key)
    if json:
        print_json(signed)
    else:
        print_table(list(signed), [list(signed.values())])


@app.command("key", epilog=example("ticketbook audit key > ticketbook.pub"))
def key() -> None:
    """Print the public key that heads and exports are checked with."""
    log_for_people()
    with reporting():
        for line in signing_key_of(load_settings()).public.pem.splitlines():
            print_line(line)
