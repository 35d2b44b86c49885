"""`ticketbook token`."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from api.cli.output import example, print_line, reporting
from domain.errors import ConfigurationError
from infrastructure.clock import now
from infrastructure.configuration.settings import Settings, SharedSecret, load_settings
from infrastructure.keys.claims import SCOPES
from infrastructure.keys.credentials import issue_token
from infrastructure.keys.secret_file import auth_of

if TYPE_CHECKING:
    from domain.log.ports import Clock

EXAMPLE_ORG: Final = "52f22665a60c12d289185d95"
EVERYTHING: Final = " ".join(SCOPES)

app = typer.Typer()


@app.command(epilog=example(f"ticketbook token --sub ada --org {EXAMPLE_ORG} --scope audit:read"))
def token(
    sub: Annotated[str, typer.Option(help="Who: the actor in the audit log.")],
    org: Annotated[str, typer.Option(help="Organisation, 24 hex digits; * for platform staff.")],
    scope: Annotated[str, typer.Option(help=f"Any of: {EVERYTHING}.")],
    hours: Annotated[float, typer.Option(min=0.01, max=8760, help="How long it is good.")] = 12,
) -> None:
    """Print a token signed with the configured secret."""
    with reporting():
        print_line(new_token(load_settings(), sub, org, scope, hours=hours, clock=now))


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
