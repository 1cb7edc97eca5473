from __future__ import annotations

import ssl
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError

from app.configuration import Loaded, describe, load
from app.errors import SettingsError
from app.secret_files import SecretFileError, read_secret
from app.settings import Settings

SASL = {
    "SECURITY_PROTOCOL": "SASL_SSL",
    "SASL_MECHANISM": "SCRAM-SHA-512",
    "SASL_USERNAME": "worker",
    "SASL_PASSWORD": "hunter2",
}


class Given:
    """The world that settings are read from."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._monkeypatch = monkeypatch
        self._folder = folder
        self._file: Path | None = None

    def environment(self, **values: str) -> Given:
        for name, value in values.items():
            self._monkeypatch.setenv(f"GRADEWATCH_{name}", value)
        return self

    def file(self, text: str) -> Given:
        self._file = self._folder / "gradewatch.toml"
        self._file.write_text(text, encoding="utf-8")
        return self

    def load(self) -> Loaded:
        return load(self._file)

    def problems(self) -> list[str]:
        with pytest.raises(SettingsError) as caught:
            self.load()
        return str(caught.value).replace(f"{self._folder}/", "").splitlines()


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Given:
    return Given(monkeypatch, tmp_path)


def test_defaults_are_the_documented_ones(given: Given) -> None:
    settings = given.load().settings
    assert settings.bootstrap_servers == ["127.0.0.1:9092"]
    assert settings.app_id == "gradewatch"
    assert settings.topic_prefix == ""
    assert settings.partitions == 8
    assert settings.replication is None
    assert settings.commit_interval_seconds == 1
    assert settings.max_value_bytes == 1_048_576
    assert settings.max_future_seconds == 86_400
    assert (settings.web_host, settings.web_port) == ("127.0.0.1", 6066)
    assert settings.log_format == "console"
    assert settings.catch_up_skew_seconds == 2
    assert settings.delivery_timeout_seconds == 120
    assert settings.broker_timeout_seconds == 300
    assert settings.session_timeout_seconds == 10
    assert settings.security_protocol == "PLAINTEXT"


def test_the_environment_beats_the_file_and_the_file_the_default(given: Given) -> None:
    loaded = given.file('partitions = 12\nbrokers = ["a:1", "b:2"]').environment(PARTITIONS="16").load()
    assert loaded.settings.partitions == 16
    assert loaded.settings.bootstrap_servers == ["a:1", "b:2"]
    assert loaded.sources["partitions"] == "environment"
    assert loaded.sources["brokers"] == "file"
    assert loaded.sources["app_id"] == "default"


def test_an_empty_variable_counts_as_not_set(given: Given) -> None:
    loaded = given.file("partitions = 12").environment(PARTITIONS="", RULES="").load()
    assert loaded.settings.partitions == 12
    assert loaded.settings.rules is None


def test_arguments_beat_the_environment(given: Given) -> None:
    given.environment(PARTITIONS="16")
    assert Settings(partitions=4).partitions == 4


def test_no_dotenv_file_is_picked_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GRADEWATCH_PARTITIONS=3")
    monkeypatch.chdir(tmp_path)
    assert load().settings.partitions == 8


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("PARTITIONS", "eight", "a whole number from 1 to 10000"),
        ("PARTITIONS", "0", "a whole number from 1 to 10000"),
        ("REPLICATION", "0", "a whole number from 1 to 32767"),
        ("BROKERS", "kafka", "one or more host:port, separated by commas"),
        ("BROKERS", "a:1,,b:2", "one or more host:port, separated by commas"),
        ("BROKERS", "a:99999", "one or more host:port, separated by commas"),
        ("BROKERS", "::1:9092", "one or more host:port, separated by commas"),
        ("COMMIT_INTERVAL_SECONDS", "nan", "a number of seconds from 0.01 to 3600"),
        ("BROKER_TIMEOUT_SECONDS", "inf", "a number of seconds above 0"),
        ("WEB_PORT", "65536", "a whole number from 0 to 65535"),
        ("LOG_FORMAT", "xml", "console or json"),
        ("SECURITY_PROTOCOL", "TLS", "PLAINTEXT, SSL, SASL_SSL or SASL_PLAINTEXT"),
        ("SASL_MECHANISM", "SCRAM", "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"),
        ("TOPIC_PREFIX", "a b", "at most 200 of the characters A-Z a-z 0-9 . _ -"),
        ("APP_ID", "a/b", "1 to 200 of the characters A-Z a-z 0-9 . _ -"),
        ("TLS_CA_FILE", "/nowhere/ca.pem", "the path of a readable file"),
        ("RULES", "/nowhere/rules.toml", "the path of a readable file"),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_right(
    given: Given, name: str, value: str, right: str
) -> None:
    assert given.environment(**{name: value}).problems() == [
        f"GRADEWATCH_{name} is {value!r}, but must be {right}."
    ]


def test_all_mistakes_are_told_at_once(given: Given) -> None:
    problems = (
        given.file('web_port = "x"\npartitions = true\ndata = 1')
        .environment(PARTITION="3", REPLICATION="x")
        .problems()
    )
    assert problems == [
        "GRADEWATCH_PARTITION is not a setting; did you mean GRADEWATCH_PARTITIONS?",
        "data in gradewatch.toml is not a setting.",
        "partitions in gradewatch.toml (GRADEWATCH_PARTITIONS) is True, but must be a whole number from 1 to "
        "10000.",
        "GRADEWATCH_REPLICATION is 'x', but must be a whole number from 1 to 32767.",
        "web_port in gradewatch.toml (GRADEWATCH_WEB_PORT) is 'x', but must be a whole number from 0 to "
        "65535.",
    ]


def test_a_strange_variable_is_only_a_warning(given: Given) -> None:
    loaded = given.environment(COLOUR_OF_MAGIC="octarine").load()
    assert loaded.warnings == ("GRADEWATCH_COLOUR_OF_MAGIC is not a setting and was ignored.",)


@pytest.mark.parametrize(
    "name",
    ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_6066_TCP", "PORT_6066_TCP_ADDR"],
)
def test_what_kubernetes_adds_for_a_service_is_passed_over(given: Given, name: str) -> None:
    assert given.environment(**{name: "tcp://10.0.0.1:6066"}).load().warnings == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("partitions = ", "gradewatch.toml is not valid TOML: Invalid value (at end of document)."),
        ("partitions = 1" + "0" * 5_000, "gradewatch.toml is not valid TOML: Exceeds the limit"),
        ("partitions = " + "[" * 9_000, "gradewatch.toml is not valid TOML: maximum recursion depth"),
        ("\ufeffweb_prot = 1", "web_prot in gradewatch.toml is not a setting; did you mean web_port?"),
        ("web_prot = 1", "web_prot in gradewatch.toml is not a setting; did you mean web_port?"),
        ("sasl_password = 5", "sasl_password in gradewatch.toml (GRADEWATCH_SASL_PASSWORD) must be a text"),
    ],
)
def test_a_broken_file_is_explained(given: Given, text: str, problem: str) -> None:
    (line,) = given.file(text).problems()
    assert line.startswith(problem)


def test_a_file_that_is_not_there_is_explained(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none.toml cannot be read: No such file or directory\."):
        load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"SASL_USERNAME": "u"}, "SASL_USERNAME is set, but *SECURITY_PROTOCOL is PLAINTEXT, *no SASL; set"),
        ({"SASL_MECHANISM": "PLAIN", "SECURITY_PROTOCOL": "SSL"}, "SASL_MECHANISM is set, but *no SASL"),
        ({"TLS_CA_FILE": __file__}, "TLS_CA_FILE is set, but *no TLS; set it to SSL."),
        (SASL | {"SASL_MECHANISM": ""}, "SECURITY_PROTOCOL is SASL_SSL, so *SASL_MECHANISM must be set"),
        (SASL | {"SASL_USERNAME": ""}, "SASL_MECHANISM is SCRAM-SHA-512, so *SASL_USERNAME must be set."),
        (SASL | {"SASL_PASSWORD": ""}, "SECURITY_PROTOCOL is SASL_SSL, so *SASL_PASSWORD must be set."),
        ({"SECURITY_PROTOCOL": "SSL", "TLS_KEY_FILE": __file__}, "TLS_CERT_FILE and *together."),
        ({"WEB_HOST": "0.0.0.0"}, "WEB_HOST is '0.0.0.0', *so *WEB_TOKEN must be set."),  # noqa: S104
        ({"WEB_HOST": "worker-1"}, "WEB_HOST is 'worker-1', *so *WEB_TOKEN must be set."),
        ({"WEB_TOKEN": "t", "WEB_STAFF_TOKEN": "t"}, "WEB_TOKEN and *WEB_STAFF_TOKEN must differ."),
    ],
)  # fmt: skip
def test_values_that_contradict_each_other_are_explained(
    given: Given, values: dict[str, str], problem: str
) -> None:
    (line,) = given.environment(**values).problems()
    assert fnmatchcase(line, f"GRADEWATCH_{problem}*")


@pytest.mark.parametrize(
    "values",
    [
        {"RAW_TOPIC": "grade-records"},
        {"APP_ID": "a", "TOPIC_PREFIX": "p.", "RAW_TOPIC": "a-student_scores-changelog"},
    ],
)
def test_no_two_topics_may_have_one_name(given: Given, values: dict[str, str]) -> None:
    assert given.environment(**values).problems() == [
        f"Two topics would be called '{values['RAW_TOPIC']}'; change GRADEWATCH_RAW_TOPIC, "
        "GRADEWATCH_TOPIC_PREFIX or GRADEWATCH_APP_ID."
    ]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_loopback_needs_no_token(given: Given, host: str) -> None:
    assert given.environment(WEB_HOST=host).load().settings.web_host == host


def test_other_addresses_are_fine_with_a_token(given: Given) -> None:
    loaded = given.environment(WEB_HOST="0.0.0.0", WEB_TOKEN="t0k3n").load()  # noqa: S104, S106
    assert loaded.settings.web_host == "0.0.0.0"  # noqa: S104


def test_a_secret_shows_nowhere(given: Given) -> None:
    settings = given.environment(**SASL, WEB_TOKEN="hunter2").load().settings  # noqa: S106
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in settings.model_dump_json()
    problems = given.environment(SECURITY_PROTOCOL="PLAINTEXT", WEB_STAFF_TOKEN="hunter2").problems()  # noqa: S106
    assert problems
    assert "hunter2" not in "".join(problems)


def test_clients_over_plain_text_get_addresses_only() -> None:
    assert Settings(brokers="a:1,[::1]:2").kafka_client_options() == {
        "bootstrap_servers": ["a:1", "[::1]:2"],
        "security_protocol": "PLAINTEXT",
    }


def test_scram_over_tls_checks_the_brokers_certificate_and_name(given: Given) -> None:
    options = given.environment(**SASL).load().settings.kafka_client_options()
    context = options.pop("ssl_context")
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert options == {
        "bootstrap_servers": ["127.0.0.1:9092"],
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "worker",
        "sasl_plain_password": "hunter2",
    }


def test_sasl_over_plain_text_is_used_when_it_is_asked_for_by_name(given: Given) -> None:
    given.environment(**SASL | {"SECURITY_PROTOCOL": "sasl_plaintext", "SASL_MECHANISM": "plain"})
    options = given.load().settings.kafka_client_options()
    assert options["security_protocol"] == "SASL_PLAINTEXT"
    assert options["sasl_mechanism"] == "PLAIN"
    assert "ssl_context" not in options


async def test_oauthbearer_sends_the_token(given: Given) -> None:
    given.environment(SECURITY_PROTOCOL="SASL_SSL", SASL_MECHANISM="OAUTHBEARER", SASL_PASSWORD="t0k3n")  # noqa: S106
    options = given.load().settings.kafka_client_options()
    assert await options["sasl_oauth_token_provider"].token() == "t0k3n"
    assert "sasl_plain_password" not in options


def test_a_certificate_authority_that_is_none_is_explained(given: Given) -> None:
    settings = given.environment(SECURITY_PROTOCOL="SSL", TLS_CA_FILE=__file__).load().settings
    with pytest.raises(SettingsError, match=r"TLS_CA_FILE is '.*', which holds no usable certificate"):
        settings.kafka_client_options()


@pytest.fixture
def key_pair(tmp_path: Path) -> tuple[Path, Path]:
    """Make a certificate and its key."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    files = ["-subj", "/CN=worker", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *files], check=True, capture_output=True)
    return certificate, key


def client_certificate(certificate: Path, key: Path) -> Settings:
    return Settings(
        security_protocol="SSL", tls_ca_file=certificate, tls_cert_file=certificate, tls_key_file=key
    )


def test_a_client_certificate_is_loaded(key_pair: tuple[Path, Path]) -> None:
    options = client_certificate(*key_pair).kafka_client_options()
    assert options["ssl_context"].get_ca_certs()[0]["subject"] == ((("commonName", "worker"),),)


def test_a_key_that_is_none_is_explained(key_pair: tuple[Path, Path]) -> None:
    certificate, _ = key_pair
    with pytest.raises(SettingsError, match=r"TLS_KEY_FILE are .* no certificate and its key in PEM form"):
        client_certificate(certificate, certificate).kafka_client_options()


def test_a_key_with_a_passphrase_is_refused_rather_than_asked_for(key_pair: tuple[Path, Path]) -> None:
    certificate, key = key_pair
    locked = key.with_name("locked.pem")
    command = ["openssl", "pkey", "-in", str(key), "-aes256", "-passout", "pass:hunter2", "-out", str(locked)]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(SettingsError, match=r"TLS_KEY_FILE is '.*', which is protected by a passphrase"):
        client_certificate(certificate, locked).kafka_client_options()


def test_every_setting_is_described() -> None:
    infos = list(describe())
    assert [info.name for info in infos] == list(Settings.model_fields)
    assert {info.env for info in infos if info.secret} == {
        "GRADEWATCH_SASL_PASSWORD",
        "GRADEWATCH_WEB_TOKEN",
        "GRADEWATCH_WEB_STAFF_TOKEN",
    }
    for info in infos:
        assert info.description.endswith("."), info.name
        assert info.right, info.name
        assert not info.name.endswith("_seconds") or info.unit == "seconds"
        assert not info.name.endswith("_bytes") or info.unit == "bytes"


def secret_file(folder: Path, content: bytes) -> str:
    path = folder / "secret"
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_password_may_lie_in_a_file(given: Given, tmp_path: Path, end: bytes) -> None:
    path = secret_file(tmp_path, b"hunter2" + end)
    loaded = given.environment(**SASL | {"SASL_PASSWORD": "", "SASL_PASSWORD_FILE": path}).load()
    assert loaded.settings.kafka_client_options()["sasl_plain_password"] == SASL["SASL_PASSWORD"]
    assert "hunter2" not in repr(loaded)
    assert "hunter2" not in loaded.settings.model_dump_json()


def test_a_token_for_the_pages_may_lie_in_a_file_named_in_the_file_of_settings(
    given: Given, tmp_path: Path
) -> None:
    given.file(f'web_host = "0.0.0.0"\nweb_token_file = "{secret_file(tmp_path, b"t0k3n")}"')
    token = given.load().settings.secret("web_token")
    assert token is not None
    assert token.get_secret_value() == "t0k3n"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it's empty"),
        (b"\n", "it's empty"),
        (b"\xff\xfe", "it's no text in UTF-8"),
        (b"x" * 70_000, "it's larger than 65536 bytes"),
        (None, "there is no such file"),
    ],
)
@pytest.mark.parametrize("name", ["SASL_PASSWORD", "SASL_TOKEN", "WEB_TOKEN", "WEB_STAFF_TOKEN"])
def test_a_file_without_a_secret_is_explained(
    given: Given, tmp_path: Path, name: str, content: bytes | None, why: str
) -> None:
    path = str(tmp_path / "hunter2") if content is None else secret_file(tmp_path, content)
    (problem,) = given.environment(**{f"{name}_FILE": path}).problems()
    assert problem.startswith(f"GRADEWATCH_{name}_FILE must be the path of a readable file")
    assert problem.endswith(f"{why}.")
    assert path not in problem, "someone may have set the secret itself there"


def test_a_file_that_may_not_be_read_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = Path(secret_file(tmp_path, b"hunter2"))
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SecretFileError, match=r"^it can't be read \(Permission denied\)$"):
        read_secret(path)


@pytest.mark.parametrize("name", ["SASL_PASSWORD", "WEB_TOKEN", "WEB_STAFF_TOKEN"])
def test_a_secret_is_given_once(given: Given, tmp_path: Path, name: str) -> None:
    path = secret_file(tmp_path, b"another")
    given.environment(**SASL | {name: "hunter2", f"{name}_FILE": path})
    assert given.problems() == [
        f"GRADEWATCH_{name} and GRADEWATCH_{name}_FILE are both set; set one of them."
    ]


async def test_a_token_file_is_read_again_for_each_connection(given: Given, tmp_path: Path) -> None:
    path = secret_file(tmp_path, b"first\n")
    oauth = {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "OAUTHBEARER"}
    options = given.environment(**oauth, SASL_TOKEN_FILE=path).load().settings.kafka_client_options()
    provider = options["sasl_oauth_token_provider"]
    assert await provider.token() == "first"
    secret_file(tmp_path, b"second\n")
    assert await provider.token() == "second"
    secret_file(tmp_path, b"")
    with pytest.raises(KafkaConnectionError, match="SASL_TOKEN_FILE gives no token: it's empty"):
        await provider.token()


def test_a_token_file_is_for_oauthbearer_alone_and_excludes_the_token(given: Given, tmp_path: Path) -> None:
    path = secret_file(tmp_path, b"t0k3n")
    (problem,) = given.environment(**SASL, SASL_TOKEN_FILE=path).problems()
    assert "GRADEWATCH_SASL_TOKEN_FILE is set, but GRADEWATCH_SASL_MECHANISM is not OAUTHBEARER" in problem
    (problem,) = given.environment(SASL_MECHANISM="OAUTHBEARER").problems()
    assert "either GRADEWATCH_SASL_TOKEN_FILE or GRADEWATCH_SASL_PASSWORD must be set" in problem
