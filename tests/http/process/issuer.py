"""A local issuer of bearer tokens: it signs tokens and publishes its keys. A test can change the keys or break it."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE = "api://turnlog"
ALL = "sessions.read sessions.write events.append"


class SigningKey:
    """A key pair with an id: EC, or RSA if `is_rsa`."""

    def __init__(self, key_id: str, *, is_rsa: bool = False) -> None:
        self.key_id = key_id
        self.algorithm = "RS256" if is_rsa else "ES256"
        self.private = (
            rsa.generate_private_key(public_exponent=65537, key_size=2048)
            if is_rsa
            else ec.generate_private_key(ec.SECP256R1())
        )

    @property
    def public_jwk(self) -> dict[str, Any]:
        public = self.private.public_key()
        jwk = RSAAlgorithm.to_jwk(public) if isinstance(public, rsa.RSAPublicKey) else ECAlgorithm.to_jwk(public)
        return {**json.loads(jwk), "kid": self.key_id, "use": "sig"}

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        return jwt.encode(claims, self.private, self.algorithm, {"kid": self.key_id, **header})


class Issuer:
    """A server of the published keys. It runs while its context is open."""

    def __init__(self) -> None:
        self.keys = [SigningKey("one"), SigningKey("two", is_rsa=True)]
        self.requests = 0
        self.is_broken = False
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.requests += 1
                body = json.dumps({"keys": [key.public_jwk for key in issuer.keys]}).encode()
                self.send_response(500 if issuer.is_broken else 200)
                self.end_headers()
                self.wfile.write(b"broken" if issuer.is_broken else body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name in its base class
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def settings(self) -> dict[str, str]:
        """The settings of an app that trusts this issuer."""
        return {
            "AUTH_MODE": "jwt",
            "JWT_ISSUER": self.url,
            "JWT_AUDIENCE": AUDIENCE,
            "JWT_JWKS_URL": f"{self.url}/keys",
        }

    def claims(self, subject: str = "ann", **others: Any) -> dict[str, Any]:
        usual = {"iss": self.url, "aud": AUDIENCE, "sub": subject, "exp": int(time.time()) + 600, "scp": ALL}
        return {name: value for name, value in (usual | others).items() if value is not None}

    def token(self, subject: str = "ann", **others: Any) -> str:
        return self.keys[0].sign(self.claims(subject, **others))


def authorization(token: str) -> dict[str, str]:
    """The header with the token."""
    return {"authorization": f"Bearer {token}"}
