"""Who is calling: which tokens are believed, which are not, and what the caller is told."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Event
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from structlog.testing import capture_logs

from infrastructure.keys.claims import SCOPES, Caller
from infrastructure.keys.credentials import (
    OURS,
    CredentialError,
    Tokens,
    bearer,
    issue_token,
    secret_tokens,
)
from infrastructure.keys.issuer_keys import issuer_tokens
from tests.support.issuer import AUDIENCE, EC_KEY, RSA_KEY, Issuer, serving_issuer
from tests.support.server import until

SECRET = "correct-horse-battery-staple-0123456789"
ORG = "64b7f0c2a1d3e4f5a6b7c8d9"
HOUR = timedelta(hours=1)


class Now:
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.now = datetime(2024, 5, 17, 9, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return self.now.timestamp()

    def wait(self, **time: float) -> None:
        self.now += timedelta(**time)


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def tokens(now: Now) -> Tokens:
    return secret_tokens(SECRET, now)


def claims(now: Now, **changes: Any) -> dict[str, Any]:
    """Good claims, changed; a claim changed to None is left out."""
    exp = int(now().timestamp()) + 3600
    good = {"sub": "ana", "org": ORG, "scope": "tickets:read", "exp": exp, "iss": OURS, "aud": OURS}
    return {name: value for name, value in (good | changes).items() if value is not None}


def signed(payload: dict[str, Any], secret: str = SECRET) -> str:
    return jwt.encode(payload, secret, algorithm="HS256")


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def refused(verify: Callable[[], object]) -> CredentialError:
    with pytest.raises(CredentialError) as caught:
        verify()
    assert caught.value.detail
    return caught.value


# Tokens signed with a secret


def test_an_issued_token_names_its_caller(tokens: Tokens, now: Now) -> None:
    token = issue_token(SECRET, "ana", ORG, ["tickets:read", "audit:read"], HOUR, now)
    caller = Caller("ana", ORG, frozenset({"tickets:read", "audit:read"}))
    assert tokens.verify(token) == caller


def test_platform_staff_belong_to_no_organisation(tokens: Tokens, now: Now) -> None:
    assert tokens.verify(issue_token(SECRET, "ops", "*", SCOPES, HOUR, now)).org_id is None


def test_a_token_is_signed_byte_for_byte_as_the_library_that_verifies_it_would(now: Now) -> None:
    for subject in ("ana", "Ana-Zoë 😀", "x" * 255):
        token = issue_token(SECRET, subject, ORG, SCOPES, HOUR, now)
        claims = jwt.decode(
            token, SECRET, algorithms=["HS256"], audience=OURS, options={"verify_exp": False}
        )
        assert token == jwt.encode(claims, SECRET, algorithm="HS256")


def test_scopes_nobody_knows_are_passed_over(tokens: Tokens, now: Now) -> None:
    token = signed(claims(now, scope="openid  tickets:write tickets:everything"))
    assert tokens.verify(token).scopes == {"tickets:write"}


def test_a_token_without_scope_may_do_nothing(tokens: Tokens, now: Now) -> None:
    assert tokens.verify(signed(claims(now, scope=None))).scopes == frozenset()


def test_an_audience_may_be_one_of_several(tokens: Tokens, now: Now) -> None:
    assert tokens.verify(signed(claims(now, aud=["other", OURS]))).subject == "ana"


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": -1},
        {"exp": 1e300},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"sub": None},
        {"sub": ""},
        {"sub": "  "},
        {"sub": 7},
        {"sub": "a\nb"},
        {"sub": "\ud800"},
        {"sub": "a" * 256},
        {"org": None},
        {"org": ""},
        {"org": ORG.upper()},
        {"org": ORG[1:]},
        {"org": ORG + "\n"},
        {"org": "**"},
        {"org": [ORG, ORG]},
        {"org": [[ORG]]},
        {"org": []},
        {"scope": 7},
        {"scope": ["tickets:read", 7]},
        {"scope": {"tickets:read": True}},
        {"nbf": "later"},
        {"iss": None},
        {"iss": "somebody"},
        {"iss": [OURS]},
        {"aud": None},
        {"aud": "somebody"},
        {"aud": []},
        {"aud": {OURS: 1}},
    ],
    ids=str,
)
def test_a_claim_that_is_missing_or_wrong_is_refused_by_name(
    tokens: Tokens, now: Now, changes: dict[str, Any]
) -> None:
    body = part(claims(now, **changes))  # by hand: a library would not sign some of these
    token = f"{part({'alg': 'HS256'})}.{body}"
    mac = hmac.digest(SECRET.encode(), token.encode(), hashlib.sha256)
    token += "." + base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
    error = refused(lambda: tokens.verify(token))
    assert error.code == "token-invalid"
    words = {"iss": ("iss", "issuer"), "aud": ("aud", "audience")}
    (claim,) = changes
    assert any(word in error.detail for word in words.get(claim, (f"'{claim}'",)))


def test_an_expired_token_is_refused_after_a_little_grace(tokens: Tokens, now: Now) -> None:
    token = issue_token(SECRET, "ana", ORG, [], HOUR, now)
    now.wait(hours=1, seconds=29)
    tokens.verify(token)
    now.wait(seconds=1)
    assert refused(lambda: tokens.verify(token)).code == "token-expired"


def test_a_token_from_the_future_is_refused_until_then(tokens: Tokens, now: Now) -> None:
    token = signed(claims(now, nbf=int(now().timestamp()) + 60))
    assert refused(lambda: tokens.verify(token)).code == "token-not-yet-valid"
    now.wait(seconds=30)
    tokens.verify(token)


def test_a_token_signed_with_another_secret_is_refused(tokens: Tokens, now: Now) -> None:
    assert refused(lambda: tokens.verify(signed(claims(now), "x" * 40))).code == "token-invalid"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS384", "HS512", "RS256", ""])
def test_a_token_can_not_choose_its_algorithm(now: Now, algorithm: str) -> None:
    secret = "long enough for any algorithm".ljust(64, ".")
    tokens = secret_tokens(secret, now)
    unsigned = f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(claims(now))}"
    refused_all = [refused(partial(tokens.verify, f"{unsigned}."))]
    for digest in ("sha256", "sha384", "sha512"):
        mac = hmac.digest(secret.encode(), unsigned.encode(), digest)
        signature = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
        refused_all.append(refused(partial(tokens.verify, f"{unsigned}.{signature}")))
    assert {error.code for error in refused_all} == {"token-invalid"}


def test_every_changed_character_spoils_a_token(tokens: Tokens, now: Now) -> None:
    token = issue_token(SECRET, "ana", ORG, ["tickets:read"], HOUR, now)
    for index in range(len(token) - 1):  # the last one holds bits that mean nothing
        changed = token[:index] + ("A" if token[index] != "A" else "B") + token[index + 1 :]
        assert refused(partial(tokens.verify, changed)).code == "token-invalid"


def test_an_oversized_token_is_refused_unread(tokens: Tokens, now: Now) -> None:
    token = signed(claims(now, padding="x" * 8192))
    assert "longer than" in refused(lambda: tokens.verify(token)).detail


def test_a_deeply_nested_token_is_refused(tokens: Tokens) -> None:
    head = base64.urlsafe_b64encode(b"[" * 5000).decode()
    assert refused(lambda: tokens.verify(f"{head}.e30.e30")).code == "token-invalid"


@given(st.text() | st.from_regex(r"[\w-]{0,40}\.[\w-]{0,40}\.[\w-]{0,40}"))
def test_no_text_does_anything_but_be_refused(token: str) -> None:
    tokens = secret_tokens(SECRET, Now())
    assert refused(lambda: tokens.verify(token)).code in ("token-invalid", "token-missing")


# Tokens remembered


def test_a_verified_token_is_known_for_five_minutes(tokens: Tokens, now: Now) -> None:
    token = issue_token(SECRET, "ana", ORG, [], HOUR, now)
    assert tokens.known(token) is None
    caller = tokens.verify(token)
    now.wait(minutes=4, seconds=59)
    assert tokens.known(token) is caller
    now.wait(seconds=1)
    assert tokens.known(token) is None


def test_a_remembered_token_is_forgotten_when_it_expires(tokens: Tokens, now: Now) -> None:
    token = issue_token(SECRET, "ana", ORG, [], timedelta(minutes=1), now)
    tokens.verify(token)
    now.wait(seconds=90)
    assert tokens.known(token) is None


def test_a_refused_token_is_not_remembered(tokens: Tokens, now: Now) -> None:
    token = signed(claims(now), "x" * 40)
    refused(lambda: tokens.verify(token))
    assert tokens.known(token) is None


def test_only_the_tokens_used_last_are_remembered(now: Now) -> None:
    tokens = secret_tokens(SECRET, now)
    first, second, *others = (
        issue_token(SECRET, f"user {number}", ORG, [], HOUR, now) for number in range(4097)
    )
    tokens.verify(first)
    tokens.verify(second)
    for token in others[:-1]:
        tokens.verify(token)
    assert tokens.known(first)
    tokens.verify(others[-1])
    assert tokens.known(first)
    assert tokens.known(second) is None


# Issuing, and the header


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"scopes": ["ticket:read"]}, "Did you mean 'tickets:read'?"),
        ({"scopes": ["xyzzy"]}, "Scopes are tickets:read"),
        ({"org": "my-org"}, "24 lower-case hexadecimal digits"),
        ({"sub": ""}, "sub must be"),
        ({"lifetime": timedelta()}, "lifetime"),
        ({"lifetime": timedelta(hours=-2)}, "lifetime"),
    ],
)
def test_a_token_that_would_be_refused_is_not_issued(
    now: Now, change: dict[str, Any], says: str
) -> None:
    good: dict[str, Any] = {
        "sub": "ana",
        "org": ORG,
        "scopes": ["tickets:read"],
        "lifetime": HOUR,
    }
    with pytest.raises(ValueError) as caught:
        issue_token(secret=SECRET, clock=now, **(good | change))
    assert says in str(caught.value)


@pytest.mark.parametrize("header", ["Bearer abc", "bearer abc", "BEARER  abc "])
def test_a_bearer_token_is_taken_from_its_header(header: str) -> None:
    assert bearer(header) == "abc"


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "abc"])
def test_a_header_without_token_says_how_to_send_one(header: str | None) -> None:
    error = refused(lambda: bearer(header))
    assert error.code == "token-missing"
    assert "Authorization: Bearer" in error.detail


# Tokens of an OpenID Connect issuer

WEAK_RSA_KEY = rsa.generate_private_key(65537, 1024)
EC_384_KEY = ec.generate_private_key(ec.SECP384R1())


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with serving_issuer() as issuer:
        yield issuer


@pytest.fixture
def issued(issuer: Issuer, now: Now) -> Tokens:
    return issuer_tokens(issuer.url, AUDIENCE, now, now.monotonic)


@pytest.mark.parametrize(
    ("key", "kid", "algorithm"), [(RSA_KEY, "r", "RS256"), (EC_KEY, "e", "ES256")]
)
def test_a_token_signed_by_the_issuer_names_its_caller(
    issuer: Issuer, issued: Tokens, key: Any, kid: str, algorithm: str
) -> None:
    token = issuer.token(key, kid, algorithm)
    assert issued.verify(token) == Caller("ana", ORG, frozenset({"tickets:read"}))


def test_the_keys_are_fetched_once_for_many_tokens(issuer: Issuer, issued: Tokens) -> None:
    made = [issuer.token(RSA_KEY, "r", "RS256", sub=f"user {number}") for number in range(20)]
    assert issuer.requests == []
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(issued.verify, made))) == 20
    assert issuer.requests == ["/.well-known/openid-configuration", "/keys"]


def public_pem() -> str:
    return (
        RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    )


def hs256_with_the_public_key(issuer: Issuer) -> str:
    head = {"alg": "HS256", "kid": "r"}
    unsigned = f"{part(head)}.{part(claims(Now(), iss=issuer.url, aud=AUDIENCE))}"
    mac = hmac.digest(public_pem().encode(), unsigned.encode(), hashlib.sha256)
    return f"{unsigned}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def unsigned_token(issuer: Issuer) -> str:
    good = claims(Now(), iss=issuer.url, aud=AUDIENCE)
    return f"{part({'alg': 'none', 'kid': 'r'})}.{part(good)}."


ATTACKS: dict[str, Callable[[Issuer], str]] = {
    "no signature": unsigned_token,
    "HS256 with the public key": hs256_with_the_public_key,
    "our own secret's form": lambda issuer: signed(claims(Now(), iss=issuer.url, aud=AUDIENCE)),
    "another RSA algorithm": lambda issuer: issuer.token(RSA_KEY, "r", "RS512"),
    "another RSA padding": lambda issuer: issuer.token(RSA_KEY, "r", "PS256"),
    "another key of the issuer": lambda issuer: issuer.token(EC_KEY, "r", "ES256"),
    "somebody's key": lambda issuer: issuer.token(
        rsa.generate_private_key(65537, 2048), "r", "RS256"
    ),
    "no key named": lambda issuer: issuer.token(RSA_KEY, None, "RS256"),
    "an unknown key": lambda issuer: issuer.token(RSA_KEY, "x", "RS256"),
    "wrong audience": lambda issuer: issuer.token(RSA_KEY, "r", "RS256", aud="other"),
    "wrong issuer": lambda issuer: issuer.token(RSA_KEY, "r", "RS256", iss="https://other"),
    "no organisation": lambda issuer: issuer.token(RSA_KEY, "r", "RS256", org=""),
    "not a token": lambda issuer: "x.y.z",
}


TOLD: dict[str, str] = {
    "no signature": "Its key is for RS256",
    "HS256 with the public key": "Its key is for RS256",
    "our own secret's form": "does not name its key (kid)",
    "another RSA algorithm": "Its key is for RS256",
    "another RSA padding": "Its key is for RS256",
    "another key of the issuer": "Its key is for RS256",
    "somebody's key": "signature of the token does not fit",
    "no key named": "does not name its key (kid)",
    "an unknown key": "no such key for RS256 or ES256",
    "wrong audience": f"not meant for the audience '{AUDIENCE}'",
    "wrong issuer": "not from the issuer 'http://127.0.0.1:",
    "no organisation": "claim 'org' must be 24 lower-case hexadecimal digits",
    "not a token": "no JWT",
}


@pytest.mark.parametrize("why", ATTACKS)
def test_a_refused_token_is_told_why_and_is_not_repeated(
    issuer: Issuer, issued: Tokens, why: str
) -> None:
    token = ATTACKS[why](issuer)
    detail = refused(lambda: issued.verify(token)).detail
    assert TOLD[why] in detail
    assert not any(len(text) > 3 and text in detail for text in (*token.split("."), "ana"))


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_a_forged_or_misdirected_token_is_refused(
    issuer: Issuer, issued: Tokens, attack: Callable[[Issuer], str]
) -> None:
    token = attack(issuer)
    assert refused(lambda: issued.verify(token)).code == "token-invalid"


def test_an_expired_token_of_the_issuer_is_refused(
    issuer: Issuer, issued: Tokens, now: Now
) -> None:
    token = issuer.token(RSA_KEY, "r", "RS256", exp=int(now().timestamp()) - 31)
    assert refused(lambda: issued.verify(token)).code == "token-expired"


@pytest.mark.parametrize(
    ("published", "key", "algorithm"),
    [
        ({"kty": "oct", "k": part("x" * 40)}, base64.urlsafe_b64decode(part("x" * 40)), "HS256"),
        (
            RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True) | {"alg": "RS512"},
            RSA_KEY,
            "RS512",
        ),
        (
            RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True) | {"use": "enc"},
            RSA_KEY,
            "RS256",
        ),
        (RSAAlgorithm.to_jwk(WEAK_RSA_KEY.public_key(), as_dict=True), WEAK_RSA_KEY, "RS256"),
        (ECAlgorithm.to_jwk(EC_384_KEY.public_key(), as_dict=True), EC_384_KEY, "ES384"),
    ],
    ids=["symmetric", "another algorithm", "for encryption", "too short", "another curve"],
)
@pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits")
def test_only_rs256_and_es256_keys_are_used(
    issuer: Issuer, issued: Tokens, published: dict[str, Any], key: Any, algorithm: str
) -> None:
    issuer.keys.append(published | {"kid": "odd"})
    token = issuer.token(key, "odd", algorithm)
    assert refused(lambda: issued.verify(token)).code == "token-invalid"
    issued.verify(issuer.token(RSA_KEY, "r", "RS256"))


def test_a_new_key_is_found_without_a_restart(issuer: Issuer, issued: Tokens, now: Now) -> None:
    issued.verify(issuer.token(RSA_KEY, "r", "RS256"))
    key = ec.generate_private_key(ec.SECP256R1())
    issuer.keys = [ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": "new"}]
    now.wait(seconds=10)
    issued.verify(issuer.token(key, "new", "ES256"))


def test_a_withdrawn_key_is_forgotten(issuer: Issuer, issued: Tokens, now: Now) -> None:
    token = issuer.token(RSA_KEY, "r", "RS256")
    issued.verify(token)
    del issuer.keys[0]
    now.wait(seconds=301)
    assert refused(lambda: issued.verify(token)).code == "token-invalid"


def test_made_up_key_names_do_not_flood_the_issuer(issuer: Issuer, issued: Tokens) -> None:
    for number in range(50):
        token = issuer.token(RSA_KEY, f"made up {number}", "RS256")
        refused(partial(issued.verify, token))
    assert len(issuer.requests) == 2


def test_an_outage_of_the_issuer_does_not_disturb_known_keys_for_an_hour(
    issuer: Issuer, issued: Tokens, now: Now
) -> None:
    far = int(now().timestamp()) + 10_000
    token = issuer.token(RSA_KEY, "r", "RS256", exp=far)
    issued.verify(token)
    issuer.status = 500
    now.wait(minutes=59)
    assert issued.verify(token).subject == "ana"
    now.wait(minutes=6)
    assert refused(lambda: issued.verify(token)).code == "issuer-unavailable"
    issuer.status = 200
    now.wait(seconds=10)
    assert issued.verify(token).subject == "ana"


def broken(issuer: Issuer, how: str) -> None:
    match how:
        case "error":
            issuer.status = 503
        case "another issuer":
            issuer.described_as = "https://other.example.org"
        case "no keys":
            issuer.keys = []
        case "odd keys":
            issuer.keys = [{"kty": "?"}]
        case "file":
            issuer.jwks_uri = "file:///etc/passwd"
        case "plain http":
            issuer.jwks_uri = "http://192.0.2.1/keys"
        case "redirect":
            issuer.redirect = f"{issuer.url}/elsewhere"


@pytest.mark.parametrize(
    ("how", "logged"),
    [
        ("error", "503"),
        ("another issuer", "does not describe the issuer"),
        ("no keys", "did not contain any keys"),
        ("odd keys", "did not contain any usable keys"),
        ("file", "jwks_uri is not a web address"),
        ("plain http", "jwks_uri must start with https"),
        ("redirect", "redirects to"),
    ],
)
def test_an_issuer_that_is_broken_is_not_the_callers_fault_and_is_logged(
    issuer: Issuer, issued: Tokens, how: str, logged: str
) -> None:
    broken(issuer, how)
    token = issuer.token(RSA_KEY, "r", "RS256")
    with capture_logs() as logs:
        error = refused(lambda: issued.verify(token))
    assert error.code == "issuer-unavailable"
    assert "Try again" in error.detail
    assert [entry["event"] for entry in logs] == ["issuer.unavailable"]
    assert logged in logs[0]["error"]


def test_an_issuer_that_is_gone_is_asked_once_in_ten_seconds(now: Now) -> None:
    with serving_issuer() as issuer:
        token = issuer.token(RSA_KEY, "r", "RS256")
        tokens = issuer_tokens(issuer.url, AUDIENCE, now, now.monotonic)
        issuer.status = 500
        for _ in range(5):
            refused(lambda: tokens.verify(token))
        now.wait(seconds=10)
        refused(lambda: tokens.verify(token))
        assert len(issuer.requests) == 2
    now.wait(seconds=10)
    assert refused(lambda: tokens.verify(token)).code == "issuer-unavailable"


@pytest.fixture
def hanging(issuer: Issuer) -> Iterator[Event]:
    """An issuer that answers nobody until the event is set."""
    go_on, answer = Event(), issuer.answer

    def hang(path: str) -> object:
        go_on.wait(30)
        return answer(path)

    issuer.answer = hang  # type: ignore[method-assign]  # this one issuer hangs
    yield go_on
    go_on.set()


def test_tokens_of_a_known_key_do_not_wait_for_an_issuer_that_hangs(
    issuer: Issuer, issued: Tokens, now: Now, request: pytest.FixtureRequest
) -> None:
    issued.verify(issuer.token(RSA_KEY, "r", "RS256"))
    go_on: Event = request.getfixturevalue("hanging")
    now.wait(seconds=60)
    made_up = issuer.token(RSA_KEY, "made up", "RS256")
    with ThreadPoolExecutor(4) as pool:
        strangers = [pool.submit(issued.verify, made_up) for _ in range(4)]
        until(lambda: len(issuer.requests) == 3)

        assert issued.waits(made_up)
        for number in range(20):
            token = issuer.token(RSA_KEY, "r", "RS256", sub=f"user {number}")
            assert not issued.waits(token)
            assert issued.verify(token).subject == f"user {number}"
        now.wait(seconds=241)  # the keys are no longer fresh, and still usable
        assert issued.verify(issuer.token(RSA_KEY, "r", "RS256", sub="bo")).subject == "bo"
        assert not any(stranger.done() for stranger in strangers)
        go_on.set()
        for stranger in strangers:
            assert refused(stranger.result).code == "token-invalid"


def test_an_issuer_that_cannot_be_reached_is_a_problem_before_any_token_comes(
    issuer: Issuer, issued: Tokens, now: Now
) -> None:
    issuer.status = 500
    assert "does not hand out its keys" in (issued.problem() or "")
    now.wait(seconds=10)
    issuer.status = 200

    assert issued.problem() is None
    requests = len(issuer.requests)
    assert issued.problem() is None
    assert len(issuer.requests) == requests


def test_a_token_that_is_none_waits_for_no_issuer(issued: Tokens) -> None:
    for token in ("", "x.y.z", "no token"):
        assert not issued.waits(token)


def test_tokens_of_a_secret_have_no_issuer_to_wait_for(now: Now) -> None:
    tokens = secret_tokens(SECRET, now)

    assert tokens.problem() is None
    assert not tokens.waits(signed(claims(now)))
