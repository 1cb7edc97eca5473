"""A real Apache Kafka that lets in only whom it knows: TLS, SASL of each kind, and ACLs.

Certificates are made anew each time and live as long as the tests.
"""

import base64
import json
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import trustme
from aiokafka.protocol.admin import CreateAclsRequest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from app.children import LOOPBACK
from tests.clients import admin_client
from tests.kafka import KafkaBroker

#: Who may do everything; the tests' own clients are ANONYMOUS, on the listener without any security.
ADMIN: Final = "admin"
#: Who is known and may do nothing until `allow` says otherwise.
WORKER: Final = "worker"
#: Stands in every password, so that a test can look for it wherever something is printed.
MARKER: Final = "s3cr3t"
PASSWORDS: Final[Mapping[str, str]] = {ADMIN: f"{MARKER}-of-admin", WORKER: f"{MARKER}-of-worker"}

_LISTENERS: Final = {
    "LOGIN": "SASL_SSL",
    "OPEN": "SASL_PLAINTEXT",
    "TLS": "SSL",  # wants a certificate of the client's
    "EXPIRED": "SSL",  # its own certificate is of yesterday
}
_MODULES: Final = "org.apache.kafka.common.security"

_TOPIC, _GROUP, _TRANSACTIONAL_ID = 2, 3, 5
_LITERAL, _PREFIXED = 3, 4
_DENY: Final = 2
_ALLOW: Final = 3
_RESOURCES: Final = {"topic": _TOPIC, "group": _GROUP, "transactional id": _TRANSACTIONAL_ID}
_OPERATIONS: Final = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10}


class Acl(NamedTuple):
    """One permission, as `kafka-acls.sh` names its parts; a name with `*` at its end is a prefix."""

    resource: str
    name: str
    operation: str


class SecuredKafka:
    """A broker with a listener per security protocol, and everything that a client needs for each."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.authority = self._authority("ca.pem")
        self.other_authority = self._authority("other-ca.pem")
        server = self._key_and_certificate("server", LOOPBACK)
        expired = self._key_and_certificate(
            "expired", LOOPBACK, not_after=datetime.now(UTC) - timedelta(days=1)
        )
        self.clients = {
            user: self._key_and_certificate(f"client-{user}", user, common_name=user) for user in PASSWORDS
        }
        scram = (f"SCRAM-SHA-512=[name={user},password={password}]" for user, password in PASSWORDS.items())
        self.broker = KafkaBroker(
            directory / "kafka",
            listeners=_LISTENERS,
            properties=_properties(server, expired, directory / "ca.pem"),
            format_options=[argument for user in scram for argument in ("--add-scram", user)],
        )

    def login(self, mechanism: str, *, user: str = WORKER, listener: str = "LOGIN") -> dict[str, str]:
        """Return a worker's settings for SASL, without their prefix."""
        settings = {
            "brokers": self.broker.address(listener),
            "security_protocol": _LISTENERS[listener],
            "sasl_mechanism": mechanism,
        }
        if _LISTENERS[listener] == "SASL_SSL":
            settings["tls_ca_file"] = str(self.directory / "ca.pem")
        if mechanism == "OAUTHBEARER":
            token = self.directory / f"{user}.token"
            token.write_text(unsigned_token(user) + "\n")
            return settings | {"sasl_token_file": str(token)}
        password = self.directory / f"{user}.password"
        password.write_text(PASSWORDS[user] + "\n")
        return settings | {"sasl_username": user, "sasl_password_file": str(password)}

    def certificate(self, *, user: str = WORKER, listener: str = "TLS") -> dict[str, str]:
        """Return a worker's settings for TLS with a certificate of its own, without their prefix."""
        return {
            "brokers": self.broker.address(listener),
            "security_protocol": "SSL",
            "tls_ca_file": str(self.directory / "ca.pem"),
            "tls_cert_file": str(self.clients[user]),
            "tls_key_file": str(self.clients[user]),
        }

    async def allow(self, user: str, *acls: Acl) -> None:
        """Let a user do something."""
        await self._create_acls(user, acls, _ALLOW)

    async def deny(self, user: str, *acls: Acl) -> None:
        """Keep a user from doing something that it was allowed."""
        await self._create_acls(user, acls, _DENY)

    async def _create_acls(self, user: str, acls: Iterable[Acl], permission: int) -> None:
        async with admin_client(self.broker.bootstrap) as admin:
            node = admin._client.get_random_node()
            for resource, name, operation in acls:
                pattern = _PREFIXED if name.endswith("*") else _LITERAL
                answer = await admin._client.send(
                    node,
                    CreateAclsRequest(
                        _RESOURCES[resource],
                        name.removesuffix("*"),
                        pattern,
                        f"User:{user}",
                        "*",
                        _OPERATIONS[operation],
                        permission,
                    ),
                )
                for code, message in answer.creation_responses:
                    assert code == 0, message

    def _authority(self, name: str) -> trustme.CA:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.directory / name)
        return authority

    def _key_and_certificate(
        self, name: str, identity: str, *, common_name: str | None = None, not_after: datetime | None = None
    ) -> Path:
        """Write a private key, as Kafka wants it (PKCS #8), and its certificate into one file."""
        issued = self.authority.issue_cert(identity, common_name=common_name, not_after=not_after)
        key = load_pem_private_key(issued.private_key_pem.bytes(), password=None)
        path = self.directory / f"{name}.pem"
        path.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        )
        return path


def unsigned_token(user: str, *, lives_seconds: int = 3600) -> str:
    """Return a JWT as Kafka's validator for tests takes it; the marker is in it."""
    now = int(time.time())
    claims = {"sub": user, "iat": now, "exp": now + lives_seconds, "jti": MARKER}
    parts = ({"alg": "none"}, claims)
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    return ".".join([*encoded, ""])


def _properties(server: Path, expired: Path, ca: Path) -> dict[str, str]:
    users = " ".join(f'user_{user}="{password}"' for user, password in PASSWORDS.items())
    properties = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:ANONYMOUS;User:{ADMIN}",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(server),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(ca),
        "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/,DEFAULT",
        "listener.name.tls.ssl.client.auth": "required",
        "listener.name.expired.ssl.keystore.type": "PEM",
        "listener.name.expired.ssl.keystore.location": str(expired),
        # So that a client need not wait out the broker's patience for a wrong password.
        "connection.failed.authentication.delay.ms": "0",
    }
    for listener in ("login", "open"):
        prefix = f"listener.name.{listener}"
        properties |= {
            f"{prefix}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512,OAUTHBEARER",
            f"{prefix}.plain.sasl.jaas.config": f"{_MODULES}.plain.PlainLoginModule required {users};",
            f"{prefix}.scram-sha-512.sasl.jaas.config": f"{_MODULES}.scram.ScramLoginModule required;",
            f"{prefix}.oauthbearer.sasl.jaas.config": (
                f"{_MODULES}.oauthbearer.OAuthBearerLoginModule required "
                'unsecuredLoginStringClaim_sub="broker";'
            ),
        }
    return properties
