"""Tokens as Keycloak, Microsoft Entra ID and Auth0 make them, with the documented settings."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from infrastructure.configuration.settings import OpenIdConnect, load_settings
from infrastructure.keys.claims import Caller, ClaimNames
from infrastructure.keys.credentials import CredentialError, Tokens
from infrastructure.keys.issuer_keys import issuer_tokens
from tests.support.issuer import AUDIENCE, RSA_KEY, Issuer, serving_issuer

ORG: Final = "64b7f0c2a1d3e4f5a6b7c8d9"
NOW: Final = datetime(2024, 5, 17, 9, 30, tzinfo=UTC)
PAGE: Final = (Path(__file__).parents[2] / "docs" / "clients.md").read_text()

KEYCLOAK: Final[dict[str, Any]] = {
    "jti": "b7a6a1c8-4b2e-4d0e-9b1d-0d7a0a1f5c11",
    "iat": 1715938200,
    "aud": [AUDIENCE, "account"],
    "sub": "f:8a4c:ada",
    "typ": "Bearer",
    "azp": "crew-planner",
    "acr": "1",
    "realm_access": {"roles": ["offline_access", "default-roles-mill"]},
    "resource_access": {"account": {"roles": ["manage-account"]}},
    "scope": "profile email tickets:read tickets:write",
    "org": ORG,
    "preferred_username": "ada",
}
ENTRA_USER: Final[dict[str, Any]] = {
    "aud": AUDIENCE,
    "iat": 1715938200,
    "nbf": 1715938200,
    "azp": "7e5c3f7e-5a5c-4b8e-8a51-4ad0a2f0a001",
    "azpacr": "1",
    "oid": "0b2ff4a6-5ec4-4d7f-9d43-3f8b0a1c2d3e",
    "scp": "tickets:read tickets:write",
    "sub": "Jx0q3kZp1n8",
    "tid": "2f1d6c1a-7e77-4d47-9c35-5d0d3b6d7f10",
    "ver": "2.0",
    "ticketbookOrg": ORG,
}
ENTRA_SERVICE: Final = {name: value for name, value in ENTRA_USER.items() if name != "scp"} | {
    "roles": ["tickets:read", "audit:read"],
    "idtyp": "app",
}
AUTH0: Final[dict[str, Any]] = {
    "sub": "auth0|65f0c0ffee",
    "aud": [AUDIENCE, "https://mill.eu.auth0.com/userinfo"],
    "iat": 1715938200,
    "scope": "openid profile tickets:read",
    "azp": "n3wCl13nt",
    "permissions": ["tickets:read", "tickets:write"],
    "https://mill.example.org/org": ORG,
}

READ: Final = frozenset({"tickets:read"})
WRITE: Final = READ | {"tickets:write"}
SHAPES: Final = {
    "Keycloak": (KEYCLOAK, Caller("f:8a4c:ada", ORG, WRITE)),
    "Entra, a user": (ENTRA_USER, Caller("Jx0q3kZp1n8", ORG, WRITE)),
    "Entra, a service": (ENTRA_SERVICE, Caller("Jx0q3kZp1n8", ORG, READ | {"audit:read"})),
    "Auth0": (AUTH0, Caller("auth0|65f0c0ffee", ORG, WRITE)),
}


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with serving_issuer() as issuer:
        yield issuer


def documented(product: str) -> dict[str, str]:
    """The settings that docs/clients.md shows for a product."""
    _, section = re.split(rf"\*\*{product}[^*]*\*\*", PAGE, maxsplit=1)
    settings = re.findall(r"^\s+(TICKETBOOK_\w+)='?([^'\n]*)'?$", section.split("- **")[0], re.M)
    return dict(settings)


def tokens(issuer: Issuer, settings: Mapping[str, str]) -> Tokens:
    """The check of tokens with these settings, but for where the issuer is."""
    ours = {"TICKETBOOK_OIDC_ISSUER": issuer.url, "TICKETBOOK_OIDC_AUDIENCE": AUDIENCE}
    auth = load_settings({**settings, **ours}).auth
    assert isinstance(auth, OpenIdConnect)
    names = ClaimNames(auth.org_claim, auth.scope_claims)
    return issuer_tokens(auth.issuer, auth.audience, lambda: NOW, NOW.timestamp, names)


def signed(issuer: Issuer, claims: Mapping[str, Any]) -> str:
    """A token with these claims and no others."""
    left_out = {"org": None, "scope": None} | dict(claims)
    return issuer.token(RSA_KEY, "r", "RS256", **left_out)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_token_of_the_shape_names_its_caller_with_the_documented_settings(
    issuer: Issuer, shape: str
) -> None:
    claims, caller = SHAPES[shape]
    settings = documented(shape.partition(",")[0].replace("Entra", "Microsoft Entra"))
    assert settings["TICKETBOOK_OIDC_ISSUER"].startswith("https://")
    assert tokens(issuer, settings).verify(signed(issuer, claims)) == caller


@pytest.mark.parametrize(
    "scopes",
    ["tickets:read audit:read", ["tickets:read", "audit:read"], ["openid", "audit:read", *READ]],
)
def test_scopes_are_one_text_or_a_list(issuer: Issuer, scopes: Any) -> None:
    caller = tokens(issuer, {}).verify(signed(issuer, {"org": ORG, "scope": scopes}))
    assert caller.scopes == {"tickets:read", "audit:read"}


def test_an_item_of_a_list_is_one_scope_and_is_not_taken_apart(issuer: Issuer) -> None:
    caller = tokens(issuer, {}).verify(
        signed(issuer, {"org": ORG, "scope": ["tickets:read tickets:write"]})
    )
    assert caller.scopes == frozenset()


def test_an_organisation_may_stand_in_a_list_of_one(issuer: Issuer) -> None:
    caller = tokens(issuer, {}).verify(signed(issuer, {"org": [ORG], "scope": ""}))
    assert caller.org_id == ORG


def test_a_claim_that_settings_do_not_name_gives_nothing(issuer: Issuer) -> None:
    checked = tokens(issuer, {"TICKETBOOK_OIDC_SCOPE_CLAIM": "scp"})
    claims = {"org": ORG, "scope": "tickets:write", "scp": "tickets:read"}
    assert checked.verify(signed(issuer, claims)).scopes == READ


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"org": ORG, "scp": ""}, "no claim 'crew'"),
        ({"crew": "mine", "scp": ""}, "claim 'crew' must be 24 lower-case hexadecimal digits"),
        ({"crew": ORG, "scp": 7}, "claim 'scp' must be a text of scopes"),
    ],
)
def test_a_refused_token_is_told_of_the_claim_by_the_name_that_settings_say(
    issuer: Issuer, claims: dict[str, Any], said: str
) -> None:
    checked = tokens(
        issuer,
        {"TICKETBOOK_OIDC_ORG_CLAIM": "crew", "TICKETBOOK_OIDC_SCOPE_CLAIM": "scp roles"},
    )
    with pytest.raises(CredentialError) as refused:
        checked.verify(signed(issuer, claims))
    assert (refused.value.code, said in refused.value.detail) == ("token-invalid", True)
