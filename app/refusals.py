"""What a broker, or its certificate, says no to for good: a sentence each, and never the secret.

Trying again doesn't help there: somebody has to change a setting, a certificate or an ACL first.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Final

from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)

AUTHORIZATION_ERRORS: Final = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
)
ACLS_ADVICE: Final = "docs/security.md lists the ACLs that it needs."

_EXPIRED: Final = 10
"""OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED."""
_WRONG_NAME: Final = frozenset({62, 64})
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""


def refusal(errors: Iterable[BaseException], brokers: str) -> str | None:
    """Return why it's no use to try again, given what each broker that was asked answered; else None.

    One broker that may yet answer otherwise is enough for None.
    """
    sentences = [_sentence(error, brokers) for error in errors]
    return next(iter(sentences), None) if all(sentences) else None


def _sentence(error: BaseException, brokers: str) -> str | None:
    match error:
        case ssl.SSLCertVerificationError():
            return (
                f"The broker's certificate at {brokers} is not accepted: {error.verify_message}. "
                f"{_certificate_advice(error.verify_code)}"
            )
        case SaslAuthenticationFailed() | AuthenticationFailedError():
            return (
                f"The broker at {brokers} refused who we say we are ({type(error).__name__}). Are "
                "GRADEWATCH_SASL_USERNAME and GRADEWATCH_SASL_PASSWORD, or what it's read from, right?"
            )
        case UnsupportedSaslMechanismError():
            return (
                f"The broker at {brokers} does not take the mechanism that GRADEWATCH_SASL_MECHANISM names, "
                "at least on this port."
            )
        case _:
            return None


def _certificate_advice(code: int) -> str:
    if code == _EXPIRED:
        return "It has to be renewed there (or the clock here put right)."
    if code in _WRONG_NAME:
        return "It has to name the host as GRADEWATCH_BROKERS and the broker's advertised listeners do."
    return "GRADEWATCH_TLS_CA_FILE must hold the authority that signed it."


TOKEN_REFUSED: Final = (
    "The broker at {brokers} refused the bearer token. Has it expired, and is "  # noqa: S105 - no token
    "GRADEWATCH_SASL_TOKEN_FILE (or GRADEWATCH_SASL_PASSWORD) the right one?"
)


def not_allowed(error: BaseException) -> str:
    """Return the sentence about an ACL that is missing; `error` is one of AUTHORIZATION_ERRORS."""
    match error:
        case GroupAuthorizationFailedError():
            what = "be in its consumer group (GRADEWATCH_APP_ID)"
        case TopicAuthorizationFailedError():
            what = f"use a topic{_names(error)}"
        case _:
            what = "do this in the cluster"
    return f"The broker does not allow this user to {what}. {ACLS_ADVICE}"


def _names(error: BaseException) -> str:
    """Return the topics that aiokafka names: one, several or none."""
    names = error.args[0] if error.args else ()
    topics = [names] if isinstance(names, str) else sorted(map(str, names))
    return f" ({', '.join(topics)})" if topics else ""
