"""Settings that are right alone but can't be meant together, each set of them with its sentence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, get_args

from app.settings import PREFIX, SecretName, env_name, is_loopback

if TYPE_CHECKING:
    from app.settings import Settings


def contradictions(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each set of values that cannot be meant together."""
    protocol = settings.security_protocol
    mechanism = settings.sasl_mechanism
    sasl = protocol.startswith("SASL_")
    tls = protocol.endswith("SSL")
    for name in get_args(SecretName):
        if getattr(settings, name) is not None and getattr(settings, f"{name}_file") is not None:
            yield f"{env_name(name)} and {env_name(name)}_FILE are both set; set one of them."
    for name in ("sasl_mechanism", "sasl_username", "sasl_password", "sasl_password_file", "sasl_token_file"):
        if getattr(settings, name) is not None and not sasl:
            yield (
                f"{env_name(name)} is set, but {PREFIX}SECURITY_PROTOCOL is {protocol}, which uses no SASL; "
                "set it to SASL_SSL (or to SASL_PLAINTEXT to send credentials unencrypted)."
            )
            break
    for name in ("tls_ca_file", "tls_cert_file", "tls_key_file"):
        if getattr(settings, name) is not None and not tls:
            yield (
                f"{env_name(name)} is set, but {PREFIX}SECURITY_PROTOCOL is {protocol}, "
                f"which uses no TLS; set it to {'SASL_SSL' if sasl else 'SSL'}."
            )
            break
    if sasl:
        if mechanism is None:
            yield (
                f"{PREFIX}SECURITY_PROTOCOL is {protocol}, so {PREFIX}SASL_MECHANISM must be "
                "set: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER."
            )
        yield from _sasl_secret_problems(settings)
        if settings.sasl_username is None and mechanism not in {None, "OAUTHBEARER"}:
            yield f"{PREFIX}SASL_MECHANISM is {mechanism}, so {PREFIX}SASL_USERNAME must be set."
    if (settings.tls_cert_file is None) != (settings.tls_key_file is None):
        yield f"{PREFIX}TLS_CERT_FILE and {PREFIX}TLS_KEY_FILE must be set together."
    if not is_loopback(settings.web_host) and settings.secret("web_token") is None:
        yield (
            f"{PREFIX}WEB_HOST is {settings.web_host!r}, which others can reach, "
            f"so {PREFIX}WEB_TOKEN must be set."
        )
    web_token = settings.secret("web_token")
    if web_token is not None and web_token == settings.secret("web_staff_token"):
        yield f"{PREFIX}WEB_TOKEN and {PREFIX}WEB_STAFF_TOKEN must differ."
    names = [spec.name for spec in settings.topology().all]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield (
            f"Two topics would be called {name!r}; change {PREFIX}RAW_TOPIC, {PREFIX}TOPIC_PREFIX "
            f"or {PREFIX}APP_ID."
        )


def _sasl_secret_problems(settings: Settings) -> Iterator[str]:
    """Yield a sentence where SASL has no secret, or more than one."""
    password = settings.secret("sasl_password")
    if settings.sasl_mechanism != "OAUTHBEARER":
        if password is None:
            yield (
                f"{PREFIX}SECURITY_PROTOCOL is {settings.security_protocol}, so {PREFIX}SASL_PASSWORD must "
                f"be set. {PREFIX}SASL_PASSWORD_FILE will do as well."
            )
        if settings.sasl_token_file is not None:
            yield (
                f"{PREFIX}SASL_TOKEN_FILE is set, but {PREFIX}SASL_MECHANISM is not OAUTHBEARER, "
                "which alone uses a token."
            )
    elif (password is None) == (settings.sasl_token_file is None):
        yield (
            f"{PREFIX}SASL_MECHANISM is OAUTHBEARER, so either {PREFIX}SASL_TOKEN_FILE or "
            f"{PREFIX}SASL_PASSWORD must be set, and not both."
        )
