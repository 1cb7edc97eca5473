"""Every setting: its environment name, default, unit and meaning, and what a right value looks like.

`app.configuration` fills them from the environment and a file.
"""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from agents.topology import Topology
from app.secret_files import SecretFile, SecretFileError, read_secret

PREFIX: Final = "GRADEWATCH_"

TOPIC_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")
"""Kafka's rule for topic names (org.apache.kafka.common.internals.Topic)."""


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _joined(value: object) -> object:
    """Let the file give a list where the environment gives a comma-separated text."""
    return ",".join(map(str, value)) if isinstance(value, list) else value


def _no_bool(value: object) -> object:
    """Keep `true` in a file from being read as the number 1."""
    if isinstance(value, bool):
        raise PydanticCustomError("number", "not a number")
    return value


def _brokers(value: str) -> str:
    brokers = [broker.strip() for broker in value.split(",")]
    for broker in brokers:
        host, _, port = broker.rpartition(":")
        bare = host.removeprefix("[").removesuffix("]")
        if not bare or (":" in host and bare == host) or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise PydanticCustomError("brokers", "not host:port")
    return ",".join(brokers)


def _topic_part(value: str) -> str:
    if value and (value in {".", ".."} or not TOPIC_NAME.fullmatch(value)):
        raise PydanticCustomError("topic", "not a topic name")
    return value


def _url(value: str) -> str:
    url = urlsplit(value)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise PydanticCustomError("url", "not an address")
    return value


def _file(value: Path) -> Path:
    if not value.is_file() or not os.access(value, os.R_OK):
        raise PydanticCustomError("file", "no readable file")
    return value


def _secret_file(value: object) -> object:
    if not isinstance(value, str | Path):
        return value
    try:
        return SecretFile(Path(value), read_secret(Path(value)))
    except SecretFileError as error:
        raise PydanticCustomError("secret_file", "{why}", {"why": str(error)}) from None


def _secret(value: SecretStr) -> SecretStr:
    if not value.get_secret_value():
        raise PydanticCustomError("secret", "empty")
    return value


TopicPart = Annotated[str, AfterValidator(_topic_part)]
ReadableFile = Annotated[Path, AfterValidator(_file)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
FileWithSecret = Annotated[SecretFile, BeforeValidator(_secret_file)]
Whole = Annotated[int, BeforeValidator(_no_bool)]
Number = Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False)]
Seconds = Number


SecretName = Literal["sasl_password", "web_token", "web_staff_token"]
"""Secrets that may lie in files: `GRADEWATCH_…_FILE` names one, and excludes the setting itself."""


def _setting(default: Any, description: str, *, right: str, group: str, unit: str = "", **limits: Any) -> Any:
    """Declare a setting; `right` ends the sentence "… must be …" that a wrong value is answered with."""
    return Field(
        default=default,
        description=description,
        json_schema_extra={"right": right, "unit": unit, "group": group},
        **limits,
    )


_READABLE_TEXT: Final = "the path of a readable file that is not empty, in UTF-8"

_KAFKA, _TOPICS, _WORK, _WEB, _LOGS = "Kafka", "Topics and group", "Processing", "HTTP", "Logs and traces"


class Settings(BaseSettings):
    """All settings. Frozen; made with `load()`, or directly (arguments beat the environment) in tests."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    brokers: Annotated[str, BeforeValidator(_joined), AfterValidator(_brokers)] = _setting(
        "127.0.0.1:9092",
        "Brokers to ask first for the cluster's addresses, comma-separated.",
        right="one or more host:port, separated by commas",
        group=_KAFKA,
    )
    broker_timeout_seconds: Seconds = _setting(
        300.0,
        "How long a worker tries to reach a broker, at the start and later, before it gives up and exits 1.",
        right="a number of seconds above 0",
        group=_KAFKA,
        unit="seconds",
        gt=0,
    )
    security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], BeforeValidator(_upper)
    ] = _setting(
        "PLAINTEXT",
        "How brokers are spoken to. SASL_PLAINTEXT sends credentials over an unencrypted connection and "
        "is used only when it is set here by name.",
        right="PLAINTEXT, SSL, SASL_SSL or SASL_PLAINTEXT",
        group=_KAFKA,
    )
    sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None, BeforeValidator(_upper)
    ] = _setting(
        None,
        "How the client proves who it is; needed with SASL_SSL and SASL_PLAINTEXT.",
        right="PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER",
        group=_KAFKA,
    )
    sasl_username: str | None = _setting(
        None, "User for PLAIN and SCRAM.", right="a text", group=_KAFKA, min_length=1
    )
    sasl_password: Secret | None = _setting(
        None,
        "Password for PLAIN and SCRAM, or the bearer token for OAUTHBEARER.",
        right="a text that is not empty",
        group=_KAFKA,
    )
    sasl_password_file: FileWithSecret | None = _setting(
        None,
        "File with that password, instead of GRADEWATCH_SASL_PASSWORD; as in all files with secrets, a "
        "newline at its end doesn't count.",
        right=_READABLE_TEXT,
        group=_KAFKA,
    )
    sasl_token_file: FileWithSecret | None = _setting(
        None,
        "File with the bearer token for OAUTHBEARER. It's read again for each connection, so that whoever "
        "renews the token only has to replace the file.",
        right=_READABLE_TEXT,
        group=_KAFKA,
    )
    tls_ca_file: ReadableFile | None = _setting(
        None,
        "Certificate authorities that may sign a broker's certificate (PEM); the system's own when not set.",
        right="the path of a readable file",
        group=_KAFKA,
    )
    tls_cert_file: ReadableFile | None = _setting(
        None,
        "Certificate to show to brokers that ask for one (PEM); needs the key file as well.",
        right="the path of a readable file",
        group=_KAFKA,
    )
    tls_key_file: ReadableFile | None = _setting(
        None,
        "Private key of that certificate (PEM, without a passphrase).",
        right="the path of a readable file",
        group=_KAFKA,
    )

    app_id: Annotated[str, AfterValidator(_topic_part)] = _setting(
        "gradewatch",
        "Name of the consumer group and first part of the changelogs' names; a new one starts from nothing.",
        right="1 to 200 of the characters A-Z a-z 0-9 . _ -",
        group=_TOPICS,
        min_length=1,
        max_length=200,
    )
    topic_prefix: TopicPart = _setting(
        "",
        "Put before every topic name as it is, separator included.",
        right="at most 200 of the characters A-Z a-z 0-9 . _ -",
        group=_TOPICS,
        max_length=200,
    )
    raw_topic: TopicPart | None = _setting(
        None,
        "Topic that the Canvas events are read from; the prefix and raw-events when not set. Taken as it is.",
        right="1 to 249 of the characters A-Z a-z 0-9 . _ -",
        group=_TOPICS,
    )
    partitions: Whole = _setting(
        8,
        "Partitions of every created topic. Derived topics and changelogs must have exactly as many; "
        "an existing raw topic may have any number.",
        right="a whole number from 1 to 10000",
        group=_TOPICS,
        unit="partitions",
        ge=1,
        le=10_000,
    )
    replication: Whole | None = _setting(
        None,
        "Copies of every created topic; the broker's default when not set.",
        right="a whole number from 1 to 32767",
        group=_TOPICS,
        unit="replicas",
        ge=1,
        le=32_767,
    )
    instance_id: TopicPart | None = _setting(
        None,
        "Name of this worker for static membership: a restart within the session timeout keeps its "
        "partitions without a rebalance. Must differ between workers.",
        right="1 to 249 of the characters A-Z a-z 0-9 . _ -",
        group=_TOPICS,
    )
    session_timeout_seconds: Seconds = _setting(
        10.0,
        "A worker that the group has not heard of for so long loses its partitions to the others; "
        "brokers take nothing under 6 seconds by default.",
        right="a number of seconds from 1 to 1800",
        group=_TOPICS,
        unit="seconds",
        ge=1,
        le=1_800,
    )

    rules: ReadableFile | None = _setting(
        None,
        "File with the parameters of the alert rules (TOML), read again on SIGHUP; the built-in ones when "
        "not set.",
        right="the path of a readable file",
        group=_WORK,
    )
    data_dir: Path = _setting(
        Path("gradewatch-data"),
        "Folder of the local copy of the tables, which lies in one named after GRADEWATCH_APP_ID in it. Kept "
        "over a restart it saves the recovery; every worker needs its own.",
        right="the path of a folder",
        group=_WORK,
    )
    standby_replicas: Whole = _setting(
        0,
        "Further workers that keep a copy of each partition of the tables up to date, and take it over "
        "without reading the changelog from its beginning. Costs them the disk and the reading.",
        right="a whole number from 0 to 10",
        group=_WORK,
        unit="workers",
        ge=0,
        le=10,
    )
    processes: Whole = _setting(
        1,
        "Processes that a worker runs, each a member of the group that takes a core of its own. Those after "
        "the first have the next ports, and folders named process-1 and so on in GRADEWATCH_DATA_DIR.",
        right="a whole number from 1 to 64",
        group=_WORK,
        unit="processes",
        ge=1,
        le=64,
    )
    commit_interval_seconds: Seconds = _setting(
        1.0,
        "Time between two flushes: what a crash makes a worker do again, and how often a busy "
        "student's state is written.",
        right="a number of seconds from 0.01 to 3600",
        group=_WORK,
        unit="seconds",
        ge=0.01,
        le=3_600,
    )
    delivery_timeout_seconds: Seconds = _setting(
        120.0,
        "How long an undelivered derived record is tried again before the worker stops without committing.",
        right="a number of seconds from 1 to 3600",
        group=_WORK,
        unit="seconds",
        ge=1,
        le=3_600,
    )
    stall_seconds: Seconds = _setting(
        60.0,
        "How long an agent may be at work on one chunk, time that the broker takes left out. After half of "
        "that the worker is not ready, after all of it not alive, and after half as much again it exits 1.",
        right="a number of seconds from 1 to 3600",
        group=_WORK,
        unit="seconds",
        ge=1,
        le=3_600,
    )
    catch_up_skew_seconds: Seconds = _setting(
        2.0,
        "How far, in Kafka time, one raw partition may run ahead of another while there is a backlog.",
        right="a number of seconds from 0 to 3600",
        group=_WORK,
        unit="seconds",
        ge=0,
        le=3_600,
    )
    max_value_bytes: Whole = _setting(
        1_048_576,
        "Raw messages with a larger value go to the dead letters as too_large.",
        right="a whole number of bytes from 1 to 8388608",
        group=_WORK,
        unit="bytes",
        ge=1,
        le=8_388_608,
    )
    max_future_seconds: Seconds = _setting(
        86_400.0,
        "Events whose time is further ahead of their Kafka timestamp go to the dead letters as future_event.",
        right="a number of seconds from 0 to 31536000",
        group=_WORK,
        unit="seconds",
        ge=0,
        le=31_536_000,
    )
    table_cache_keys: Whole = _setting(
        100_000,
        "Student states that a worker keeps in memory; the others are read from disk when needed.",
        right="a whole number from 1 to 100000000",
        group=_WORK,
        unit="students",
        ge=1,
        le=100_000_000,
    )

    web_host: str = _setting(
        "127.0.0.1",
        "Address of the worker's HTTP server. Any other than loopback needs GRADEWATCH_WEB_TOKEN.",
        right="an address or host name",
        group=_WEB,
        min_length=1,
    )
    web_port: Whole = _setting(
        6066,
        "Port of the worker's HTTP server; 0 takes a free one and logs it.",
        right="a whole number from 0 to 65535",
        group=_WEB,
        unit="port",
        ge=0,
        le=65_535,
    )
    web_token: Secret | None = _setting(
        None,
        "Bearer token for pages with student data.",
        right="a text that is not empty",
        group=_WEB,
    )
    web_token_file: FileWithSecret | None = _setting(
        None,
        "File with the token, instead of GRADEWATCH_WEB_TOKEN.",
        right=_READABLE_TEXT,
        group=_WEB,
    )
    web_staff_token: Secret | None = _setting(
        None,
        "Bearer token for pages that also show unposted and muted values.",
        right="a text that is not empty",
        group=_WEB,
    )
    web_staff_token_file: FileWithSecret | None = _setting(
        None,
        "File with the token, instead of GRADEWATCH_WEB_STAFF_TOKEN.",
        right=_READABLE_TEXT,
        group=_WEB,
    )

    tracing_endpoint: Annotated[str, AfterValidator(_url)] | None = _setting(
        None,
        "Where spans are sent with OpenTelemetry (OTLP over HTTP), such as http://127.0.0.1:4318/v1/traces; "
        "when not set there are none. Needs the extra gradewatch[tracing].",
        right="an address that begins with http:// or https://",
        group=_LOGS,
    )
    tracing_sample_ratio: Number = _setting(
        1.0,
        "How many of the spans are kept, from 0 for none to 1 for all.",
        right="a number from 0 to 1",
        group=_LOGS,
        unit="share",
        ge=0,
        le=1,
    )
    log_format: Annotated[Literal["console", "json"], BeforeValidator(_lower)] = _setting(
        "console",
        "Logs for people or, one object per line, for machines.",
        right="console or json",
        group=_LOGS,
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = _setting(
        "info",
        "Least severity that is logged; libraries are logged from warning on, or all with debug.",
        right="debug, info, warning or error",
        group=_LOGS,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the hook's arguments go by name
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take arguments and the environment, nothing else: no .env file appears from the working folder."""
        return init_settings, env_settings

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Report settings that are right alone but not together."""
        from app.contradictions import contradictions  # it needs this module

        problems = list(contradictions(self))
        if problems:
            raise PydanticCustomError("together", "{problems}", {"problems": "\n".join(problems)})
        return self

    @property
    def bootstrap_servers(self) -> list[str]:
        """The brokers, one by one."""
        return self.brokers.split(",")

    def secret(self, name: SecretName) -> SecretStr | None:
        """Return a secret, wherever it was given: as it is or in a file."""
        as_it_is: SecretStr | None = getattr(self, name)
        in_file: SecretFile | None = getattr(self, f"{name}_file")
        return in_file.content if in_file is not None else as_it_is

    def topology(self) -> Topology:
        """Return the topics and changelogs of this deployment."""
        return Topology.build(self.topic_prefix, self.app_id, self.partitions, self.raw_topic)

    def kafka_client_options(self) -> dict[str, Any]:
        """Return the address and security arguments that every aiokafka client takes.

        Raises `app.errors.SettingsError` when the TLS files cannot be used.
        """
        from app.security import (
            security_options,
        )  # costs the import of aiokafka, which most commands can spare

        return {"bootstrap_servers": self.bootstrap_servers, **security_options(self)}


def env_name(field: str) -> str:
    """Return the environment name of a setting."""
    return PREFIX + field.upper()


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server bound to `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
