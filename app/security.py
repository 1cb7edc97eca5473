"""TLS and SASL as aiokafka's clients want them."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError

from app.errors import SettingsError
from app.secret_files import SecretFileError, read_secret
from app.settings import PREFIX

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import SecretStr

    from app.settings import Settings


def security_options(settings: Settings) -> dict[str, Any]:
    """Return the security arguments that every aiokafka client takes.

    Raises SettingsError when the TLS files cannot be used.
    """
    options: dict[str, Any] = {"security_protocol": settings.security_protocol}
    if settings.security_protocol.endswith("SSL"):
        options["ssl_context"] = _tls_context(
            settings.tls_ca_file, settings.tls_cert_file, settings.tls_key_file
        )
    if settings.sasl_mechanism is None:
        return options
    options["sasl_mechanism"] = settings.sasl_mechanism
    password = settings.secret("sasl_password")
    if settings.sasl_token_file is not None:
        options["sasl_oauth_token_provider"] = TokenFromFile(settings.sasl_token_file.path)
    elif password is None:
        raise TypeError("settings with SASL have a secret")
    elif settings.sasl_mechanism == "OAUTHBEARER":
        options["sasl_oauth_token_provider"] = FixedToken(password)
    else:
        options["sasl_plain_username"] = settings.sasl_username
        options["sasl_plain_password"] = password.get_secret_value()
    return options


class FixedToken(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka is not typed
    """Gives every new connection the same bearer token."""

    def __init__(self, token: SecretStr) -> None:
        self._token = token

    async def token(self) -> str:
        """Return the token."""
        return self._token.get_secret_value()


class TokenFromFile(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka is not typed
    """Reads the bearer token again for each new connection: tokens expire, and are renewed in the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:
        """Return what the file holds now; raises KafkaConnectionError, which is tried again, if nothing."""
        try:
            return (await asyncio.to_thread(read_secret, self._path)).get_secret_value()
        except SecretFileError as error:
            raise KafkaConnectionError(f"{PREFIX}SASL_TOKEN_FILE gives no token: {error}") from None


def _tls_context(ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> ssl.SSLContext:
    """Return a context that checks the broker's certificate and name, and shows ours if there is one."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(
            f"{PREFIX}TLS_CA_FILE is {str(ca_file)!r}, which holds no usable certificate in PEM form "
            f"({_reason(error)})."
        ) from None
    if cert_file is None:
        return context

    def refuse_passphrase() -> str:
        # Without this OpenSSL would ask on the terminal, and a service would wait for ever.
        raise SettingsError(
            f"{PREFIX}TLS_KEY_FILE is {str(key_file)!r}, which is protected by a passphrase; "
            "give a key without one and protect the file instead."
        )

    try:
        context.load_cert_chain(cert_file, key_file, refuse_passphrase)
    except OSError as error:
        raise SettingsError(
            f"{PREFIX}TLS_CERT_FILE and {PREFIX}TLS_KEY_FILE are {str(cert_file)!r} and {str(key_file)!r}, "
            f"which are no certificate and its key in PEM form ({_reason(error)})."
        ) from None
    return context


def _reason(error: OSError) -> str:
    """Return OpenSSL's or the system's few words without the position in their source."""
    return str(getattr(error, "reason", None) or error.strerror or error).replace("_", " ").lower()


def faust_credentials(settings: Settings) -> Any:
    """Return the same as Faust's clients want it; None for plain text without SASL.

    Raises SettingsError when the TLS files cannot be used.
    """
    import faust  # costs a third of a second, which commands that need no worker can spare

    options = security_options(settings)
    tls = options.get("ssl_context")
    mechanism = options.get("sasl_mechanism")
    if mechanism is None:
        return faust.SSLCredentials(context=tls) if tls is not None else None
    if mechanism == "OAUTHBEARER":
        return faust.OAuthCredentials(oauth_cb=options["sasl_oauth_token_provider"], ssl_context=tls)
    return faust.SASLCredentials(
        username=options["sasl_plain_username"],
        password=options["sasl_plain_password"],
        mechanism=mechanism,
        ssl_context=tls,
    )
