"""Settings that make no sense are refused where they are made, and the text says which."""

import signal

import msgspec
import pytest

from prefactor_exporter import AgentInfo, ConfigError, ExporterConfig, HttpClientConfig, Redaction
from prefactor_exporter import config as module

HTTP = HttpClientConfig("http://127.0.0.1:1", "hush")
TOKEN = {"PREFACTOR_API_TOKEN": "hush"}

COUNTS = [
    *["max_queue_items", "max_queue_bytes", "max_batch_items", "max_batch_bytes", "max_in_flight"],
    *["max_payload_bytes", "max_attempts", "max_spool_bytes"],
]
SECONDS = ["block_timeout", "linger", "max_retry_age", "shutdown_timeout", "spool_interval"]


def from_env(**variables):
    return ExporterConfig.from_env(TOKEN | variables)


def test_the_defaults_are_those_that_are_promised():
    config = ExporterConfig(http=HTTP)
    found = {name: getattr(config, name) for name in config.__struct_fields__}
    assert found == {
        "http": HTTP,
        "agent": None,
        "max_queue_items": 100_000,
        "max_queue_bytes": 64 * 2**20,
        "overflow": "drop_newest",
        "block_timeout": 0.1,
        "max_batch_items": 400,
        "max_batch_bytes": 2**20,
        "linger": 0.5,
        "max_in_flight": 4,
        "max_payload_bytes": 256 * 2**10,
        "max_attempts": 10,
        "max_retry_age": 900,
        "spool_dir": None,
        "max_spool_bytes": 2**30,
        "max_spool_age": None,
        "spool_interval": 0.2,
        "strict": False,
        "shutdown_timeout": 5,
        "flush_at_exit": True,
        "flush_on_signals": (15,),
        "redact": Redaction(),
        "close_open": True,
        "on_drop": None,
    }


@pytest.mark.parametrize(
    "url",
    ["nonsense", "localhost:4000", "ftp://host", "http://", "//host", "http://[::1", "http://h:0"],
)
def test_an_address_that_no_request_can_go_to_is_refused(url):
    with pytest.raises(ConfigError, match=r"http\.api_url is not where requests can go, got '"):
        ExporterConfig(http=HttpClientConfig(url, "hush"))
    with pytest.raises(ConfigError, match="PREFACTOR_API_URL"):
        from_env(PREFACTOR_API_URL=url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:4000", "https://a.b", "https://a.b/path", "http://[::1]:1"]
)
def test_host_port_and_path_are_what_an_address_may_have(url):
    assert ExporterConfig(http=HttpClientConfig(url, "hush")).http.api_url == url


@pytest.mark.parametrize("name", ["agent_id", "environment_id", "name", "version", "description"])
def test_what_the_agent_is_called_is_plain_text(name):
    with pytest.raises(ConfigError, match=rf"agent\.{name} must be a plain str, got int"):
        ExporterConfig(http=HTTP, agent=AgentInfo(**{name: 7}))


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("bad", [0, -1, 1.5, "10", None, True])
def test_a_count_is_a_whole_number_of_at_least_one(name, bad):
    with pytest.raises(ConfigError, match=name):
        ExporterConfig(http=HTTP, **{name: bad})
    assert getattr(ExporterConfig(http=HTTP, **{name: 1}), name) == 1


@pytest.mark.parametrize("name", [*SECONDS, "max_spool_age"])
@pytest.mark.parametrize("bad", [-0.001, float("nan"), "1", True])
def test_a_time_is_a_number_of_at_least_zero(name, bad):
    with pytest.raises(ConfigError, match=name):
        ExporterConfig(http=HTTP, **{name: bad})
    for good in (0, 0.5, float("inf")):
        assert getattr(ExporterConfig(http=HTTP, **{name: good}), name) == good


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("http", "http://127.0.0.1:1"),
        ("overflow", "spill"),
        ("spool_dir", ""),
        ("spool_dir", 7),
        ("flush_on_signals", signal.SIGTERM),
        ("flush_on_signals", ("SIGTERM",)),
        ("agent", AgentInfo(agent_id="")),
    ],
)
def test_other_values_that_make_no_sense_are_refused(name, bad):
    with pytest.raises(ConfigError, match=name):
        ExporterConfig(**{"http": HTTP, name: bad})


def test_a_configuration_cannot_be_changed_and_hides_the_token():
    config = ExporterConfig(http=HTTP)
    with pytest.raises(AttributeError):
        config.linger = 1.0
    assert "hush" not in repr(config)
    assert "hush" not in str(config)


@pytest.mark.parametrize("name", COUNTS)
def test_every_count_has_its_variable(name):
    variable = f"PREFACTOR_EXPORTER_{name.upper()}"
    assert getattr(from_env(**{variable: "7"}), name) == 7
    for bad in ("seven", "7.5", "0", "-1"):
        with pytest.raises(ConfigError, match=variable):
            from_env(**{variable: bad})


@pytest.mark.parametrize("name", [*SECONDS, "max_spool_age"])
def test_every_time_has_its_variable(name):
    variable = f"PREFACTOR_EXPORTER_{name.upper()}"
    assert getattr(from_env(**{variable: "0.25"}), name) == 0.25
    for bad in ("soon", "-1", "nan"):
        with pytest.raises(ConfigError, match=variable):
            from_env(**{variable: bad})


@pytest.mark.parametrize("name", ["strict", "flush_at_exit", "close_open", "redact"])
def test_every_switch_has_its_variable(name):
    variable = f"PREFACTOR_EXPORTER_{name.upper()}"
    for text in ("1", "true", "Yes", " ON "):
        assert getattr(from_env(**{variable: text}), name)
    for text in ("0", "false", "No", "off"):
        assert not getattr(from_env(**{variable: text}), name)
    with pytest.raises(ConfigError, match=variable):
        from_env(**{variable: "perhaps"})


def test_text_has_its_variables(tmp_path):
    config = from_env(
        PREFACTOR_EXPORTER_SPOOL_DIR=str(tmp_path), PREFACTOR_EXPORTER_OVERFLOW="drop_oldest"
    )
    assert (config.spool_dir, config.overflow) == (str(tmp_path), "drop_oldest")
    with pytest.raises(ConfigError, match="PREFACTOR_EXPORTER_OVERFLOW"):
        from_env(PREFACTOR_EXPORTER_OVERFLOW="spill")


@pytest.mark.parametrize(
    ("text", "signals"),
    [
        ("SIGTERM", (signal.SIGTERM,)),
        ("sigterm, SIGHUP", (signal.SIGTERM, signal.SIGHUP)),
        ("none", ()),
    ],
)
def test_signals_are_read_by_their_names(text, signals):
    assert from_env(PREFACTOR_EXPORTER_FLUSH_ON_SIGNALS=text).flush_on_signals == signals


@pytest.mark.parametrize("text", ["TERM", "15", "SIGTERM;SIGHUP"])
def test_what_is_no_signal_is_refused(text):
    with pytest.raises(ConfigError, match="PREFACTOR_EXPORTER_FLUSH_ON_SIGNALS"):
        from_env(PREFACTOR_EXPORTER_FLUSH_ON_SIGNALS=text)


def test_every_field_that_a_variable_could_set_has_one():
    """The others are objects of Python: the address and the agent have variables of their own."""
    others = {"http", "agent", "on_drop"}
    assert set(module._READERS) == set(ExporterConfig.__struct_fields__) - others


def test_the_address_and_the_agent_have_variables_of_their_own():
    config = from_env(
        PREFACTOR_API_URL="https://api.example.org/",
        PREFACTOR_AGENT_ID="an-agent",
        PREFACTOR_AGENT_NAME="A name",
        PREFACTOR_AGENT_IDENTIFIER="v7",
        PREFACTOR_ENVIRONMENT_ID="an-environment",
    )
    assert config.http.api_url.startswith("https://api.example.org")
    assert config.http.api_token == "hush"
    assert config.agent == AgentInfo(
        agent_id="an-agent", environment_id="an-environment", name="A name", version="v7"
    )


def test_an_empty_variable_is_as_good_as_none():
    empty = dict.fromkeys(
        [
            *["PREFACTOR_API_URL", "PREFACTOR_AGENT_ID", "PREFACTOR_AGENT_NAME"],
            *["PREFACTOR_EXPORTER_LINGER", "PREFACTOR_EXPORTER_STRICT"],
        ],
        "",
    )
    assert from_env(**empty) == from_env()


@pytest.mark.parametrize("environ", [{}, {"PREFACTOR_API_TOKEN": ""}])
def test_without_a_token_there_is_no_configuration(environ):
    assert ExporterConfig.from_env(environ) is None


def test_the_variables_of_the_process_are_the_default(monkeypatch):
    monkeypatch.setenv("PREFACTOR_API_TOKEN", "hush")
    monkeypatch.setenv("PREFACTOR_EXPORTER_LINGER", "3")
    config = ExporterConfig.from_env()
    assert config is not None
    assert config.linger == 3


def test_an_error_of_a_variable_never_shows_the_token():
    with pytest.raises(ConfigError) as told:
        from_env(PREFACTOR_EXPORTER_LINGER="soon")
    assert "hush" not in str(told.value)


def test_a_configuration_can_be_changed_into_another():
    changed = msgspec.structs.replace(ExporterConfig(http=HTTP), linger=2.0)
    assert changed.linger == 2.0
    with pytest.raises(ConfigError):
        msgspec.structs.replace(changed, linger=-1)


@pytest.mark.parametrize("token", ["hush\n", "hu\0sh", "hush\x7f", "\x85hush", b"hush"])
def test_a_token_that_no_header_can_hold_is_refused_and_not_shown(token):
    with pytest.raises(ConfigError, match=r"^http\.api_token ") as told:
        ExporterConfig(http=HttpClientConfig("http://127.0.0.1:1", token))
    assert "hush" not in str(told.value)


def test_a_token_of_the_environment_is_named_by_its_variable():
    with pytest.raises(ConfigError, match=r"^PREFACTOR_API_TOKEN: .* line break"):
        from_env(PREFACTOR_API_TOKEN="hush\n")
