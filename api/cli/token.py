"""`ticketbook token`."""

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from api.cli.options import Json
from api.cli.output import (
    Exit,
    example,
    print_json,
    print_line,
    print_table,
    reporting,
    say,
)
from domain.errors import ConfigurationError
from infrastructure.clock import now
from infrastructure.configuration.addresses import SQLiteStore
from infrastructure.configuration.settings import (
    AUTH_SECRET,
    STORE,
    Settings,
    SharedSecret,
    load_settings,
)
from infrastructure.keys.claims import SCOPES
from infrastructure.keys.credentials import LONGEST_TOKEN, CredentialError, issue_token
from infrastructure.keys.secret_file import auth_of

if TYPE_CHECKING:
    from domain.log.ports import Clock

EXAMPLE_ORG: Final = "52f22665a60c12d289185d95"
EVERYTHING: Final = " ".join(SCOPES)

app = typer.Typer()


@app.command(epilog=example(f"ticketbook token --sub ada --org {EXAMPLE_ORG} --scope audit:read"))
def token(
    sub: Annotated[str | None, typer.Option(help="Who: the actor in the audit log.")] = None,
    org: Annotated[
        str | None, typer.Option(help="Organisation, 24 hex digits; * for platform staff.")
    ] = None,
    scope: Annotated[str | None, typer.Option(help=f"Any of: {EVERYTHING}.")] = None,
    hours: Annotated[float, typer.Option(min=0.01, max=8760, help="How long it is good.")] = 12,
    check: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN", help="Say whether this token is good; - reads it from stdin."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Print a token signed with the configured secret.

    With --check, say whom a token names and what it allows, or why it is refused; then the exit
    code is 1.
    """
    wanted = {"--sub": sub, "--org": org, "--scope": scope}
    if check is not None:
        if any(wanted.values()):
            raise typer.BadParameter(
                "it goes with no other option but --json.", param_hint="'--check'"
            )
        _check(sys.stdin.readline(LONGEST_TOKEN + 2) if check == "-" else check, json=json)
        return
    missing = [option for option, value in wanted.items() if value is None]
    if sub is None or org is None or scope is None:
        raise typer.BadParameter("it is missing.", param_hint=f"'{missing[0]}'")
    with reporting():
        settings = load_settings()
        _refuse_without_store(settings)
        signed = new_token(settings, sub, org, scope, hours=hours, clock=now)
    if json:
        print_json({"token": signed})
    else:
        print_line(signed)


def _refuse_without_store(settings: Settings) -> None:
    """A secret that is made where there is no store signs tokens that no service takes."""
    store = settings.store
    if settings.auth is None and isinstance(store, SQLiteStore) and not store.path.exists():
        raise ConfigurationError(
            f"There is neither {AUTH_SECRET.name} nor a store at {store.path}: no service would "
            f"take the token. Name your store in {STORE.name}, or start ticketbook serve first."
        )


def _check(text: str, *, json: bool) -> None:
    from api.composition import tokens_of  # making a token waits for none of that

    with reporting():
        tokens = tokens_of(load_settings(), now)
    try:
        caller = tokens.verify(text.strip())
    except CredentialError as refusal:
        if json:
            print_json({"good": False, "code": refusal.code, "detail": refusal.detail})
        say(f"ticketbook: {refusal.code}: {refusal.detail}")
        code = Exit.STORE if refusal.code == "issuer-unavailable" else Exit.DIFFERENT
        raise typer.Exit(code) from None
    scopes = sorted(caller.scopes)
    if json:
        body = {"sub": caller.subject, "org": caller.org_id or "*", "scopes": scopes}
        print_json({"good": True, **body})
    else:
        columns = ["sub", "org", "scopes"]
        print_table(columns, [(caller.subject, caller.org_id or "*", " ".join(scopes) or "-")])


def new_token(
    settings: Settings, sub: str, org: str, scope: str, *, hours: float, clock: "Clock"
) -> str:
    """Raises `ConfigurationError` where tokens come from elsewhere, or a part is wrong."""
    auth = auth_of(settings)
    if not isinstance(auth, SharedSecret):
        raise ConfigurationError(
            f"Tokens come from {auth.issuer}: this service has no secret to sign them with."
        )
    try:
        return issue_token(auth.value, sub, org, scope.split(), timedelta(hours=hours), clock)
    except ValueError as error:
        raise ConfigurationError(f"No token: {error}") from error
