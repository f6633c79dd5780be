"""Who may come in: the one user, the one connected app and its key pair, made anew for every sandbox.

Place     server.py makes it -> [this] -> rest/oauth.py and rest/soap_login.py ask
Rules     Comparisons take the same time whatever is wrong. The key pair signs nothing here: its private half is given
          to the client, its public half proves a JWT assertion. Nothing of it is shown by `repr`.
Source    Salesforce help: "OAuth 2.0 JWT Bearer Flow for Server-to-Server Integration".
"""

import secrets
import string
from dataclasses import dataclass, field
from hmac import compare_digest

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

USERNAME = "admin@fakturo.sandbox"
_LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Access:
    """The credentials of a sandbox org."""

    username: str
    password: str = field(repr=False)
    security_token: str = field(repr=False)
    client_id: str
    client_secret: str = field(repr=False)
    private_key: bytes = field(repr=False)
    public_key: bytes = field(repr=False)

    def is_app(self, client_id: str, client_secret: str) -> bool:
        """Say whether these are the connected app's."""
        return _same(client_id, self.client_id) & _same(client_secret, self.client_secret)

    def is_user(self, username: str, password: str) -> bool:
        """Say whether these are the user's; the security token may follow the password.

        The token may be left out as well: the sandbox's network counts as trusted.
        """
        right = _same(password, self.password) | _same(password, self.password + self.security_token)
        return right & _same(username.lower(), self.username.lower())


def make_access() -> Access:
    """Return fresh credentials."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return Access(
        username=USERNAME,
        password=_random(16),
        security_token=_random(24),
        client_id=f"3MVG9{_random(80)}",
        client_secret=secrets.token_hex(32).upper(),
        private_key=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        public_key=key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    )


def _random(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def _same(one: str, other: str) -> bool:
    return compare_digest(one.encode(), other.encode())
