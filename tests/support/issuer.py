"""An OpenID Connect issuer on this machine."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE: Final = "ticketbook-api"
RSA_KEY: Final = rsa.generate_private_key(65537, 2048)
EC_KEY: Final = ec.generate_private_key(ec.SECP256R1())


class Issuer:
    """A real HTTP server on this machine, with whatever keys a test gives it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.described_as = url
        self.jwks_uri = f"{url}/keys"
        self.redirect = ""
        self.status = 200
        self.requests: list[str] = []
        self.keys: list[dict[str, Any]] = [
            {**RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True), "kid": "r", "use": "sig"},
            {**ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True), "kid": "e", "alg": "ES256"},
        ]

    def answer(self, path: str) -> object:
        if path in ("/.well-known/openid-configuration", "/elsewhere"):
            return {"issuer": self.described_as, "jwks_uri": self.jwks_uri}
        return {"keys": self.keys}

    def token(self, key: Any, kid: str | None, algorithm: str, **changes: Any) -> str:
        good = {
            "sub": "ana",
            "org": "64b7f0c2a1d3e4f5a6b7c8d9",
            "scope": "tickets:read",
            "exp": 1_715_941_800,  # an hour after the clock of the tests
            "iss": self.url,
            "aud": AUDIENCE,
        }
        headers = {"kid": kid} if kid else None
        return jwt.encode(good | changes, key, algorithm=algorithm, headers=headers)


@contextmanager
def serving_issuer() -> Iterator[Issuer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.requests.append(self.path)
            body = json.dumps(served.answer(self.path)).encode()
            moved = served.redirect and self.path.startswith("/.well-known")
            self.send_response(302 if moved else served.status)
            if moved:
                self.send_header("Location", served.redirect)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = Issuer(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
