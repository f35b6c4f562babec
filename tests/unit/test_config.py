from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest

from hongyan.config import Config, ConfigError, Issuer, Rate, check_kinds, load

SECRET = "0123456789abcdef0123456789abcdef"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "hongyan.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_are_closed_and_loopback() -> None:
    config = load()
    assert config == Config()
    assert config.server.host == "127.0.0.1"
    assert config.server.allowed_origins == ()
    assert config.accounts.registration is False
    assert config.limits.message_bytes >= 96 * 1024  # a 64 KiB content fits, JSON around it
    assert config.presence.ttl_ms >= 2 * config.limits.heartbeat_ms


def test_later_sources_win_key_by_key(tmp_path: Path) -> None:
    path = write(tmp_path, '[server]\nhost = "::"\nport = 1\nbacklog = 10\n')
    config = load(
        path,
        {"HONGYAN_SERVER__PORT": "2", "HONGYAN_SERVER__BACKLOG": "20"},
        {"server.backlog": 30},
    )
    assert (config.server.host, config.server.port, config.server.backlog) == ("::", 2, 30)


def test_one_key_of_a_rate_keeps_the_others(tmp_path: Path) -> None:
    config = load(write(tmp_path, "[limits.rates.user]\nrate = 7\n"))
    assert config.limits.rates.user == Rate(rate=7, burst=Config().limits.rates.user.burst)


def test_text_is_read_by_the_type_of_the_setting() -> None:
    issuer = {"iss": "shop", "alg": "HS256", "secret": SECRET}
    config = load(
        None,
        {
            "HONGYAN_SERVER__ALLOWED_ORIGINS": "https://a.example, https://b.example",
            "HONGYAN_ACCOUNTS__REGISTRATION": "true",
            "HONGYAN_LIMITS__RATES__USER": '{"rate": 1.5, "burst": 2}',
            "HONGYAN_TOKENS__ISSUERS": msgspec.json.encode([issuer]).decode(),
            "HONGYAN_KINDS__CHAT__RECALL_MS": "120000",
            "HONGYAN_KINDS__CHAT__WORD": "plain text",
            "HONGYAN_SERVER__METRICS_TOKEN": "[not json",
        },
    )
    assert config.server.allowed_origins == ("https://a.example", "https://b.example")
    assert config.accounts.registration is True
    assert config.limits.rates.user == Rate(rate=1.5, burst=2)
    assert config.tokens.issuers == (Issuer(iss="shop", alg="HS256", secret=SECRET),)
    assert config.kinds == {"chat": {"recall_ms": 120000, "word": "plain text"}}
    assert config.server.metrics_token == "[not json"


def test_names_without_double_underscore_are_left_alone() -> None:
    assert load(None, {"HONGYAN_TOKEN": "x", "HONGYAN_CONFIG": "y", "PATH": "z"}) == Config()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[server]\nprot = 1", "server.prot: unknown key; did you mean 'port'?"),
        ("[servr]\nport = 1", "servr: unknown key; did you mean 'server'?"),
        ("zzz = 1", "zzz: unknown key"),
        ('[server]\nport = "1"', "server.port: Expected `int`, got `str`"),
        ("[server]\nport = 65536", "server.port: Expected `int` <= 65535"),
        ("server = 1", "server: Expected `object`, got `int`"),
        ('[server]\ntls_cert = "a.pem"', "server: tls_cert and tls_key are set both"),
        ('[server]\ntrusted_proxies = ["10.0.0"]', "server: '10.0.0' does not appear"),
        ("[limits]\nmessage_bytes = 100", "limits.message_bytes: Expected `int` >= 4096"),
        ("[limits.rates.log]\nrate = -1", "limits.rates.log.rate: Expected `float` >= 0.0"),
        ("[presence]\nttl_ms = 30000", "presence.ttl_ms is less than twice limits.heartbeat_ms"),
        ('[[tokens.issuers]]\niss = "a"', "tokens.issuers[0]: Object missing required field"),
        (
            '[[tokens.issuers]]\niss = "a"\nalg = "none"',
            "tokens.issuers[0].alg: Invalid enum value 'none'",
        ),
        (
            '[[tokens.issuers]]\niss = "a"\nalg = "HS256"\nsecrt = "x"',
            "tokens.issuers[0].secrt: unknown key; did you mean 'secret'?",
        ),
        ("[kinds]\nchat = 1", "kinds[...]: Expected `object`, got `int`"),
        ("[server", "Expected ']' at the end of a table declaration"),
    ],
)
def test_a_fault_in_the_file_is_one_line_with_file_and_key(
    tmp_path: Path, text: str, words: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: {words}")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("HONGYAN_SERVER__PORT", "x", "server.port: Expected `int`, got `str`"),
        ("HONGYAN_SERVER__PORT", "70000", "server.port: Expected `int` <= 65535"),
        ("HONGYAN_SERVER__PROT", "1", "server.prot: unknown key; did you mean 'port'?"),
        ("HONGYAN_SERVER__", "1", "server.: unknown key"),
        ("HONGYAN_SERVER__PORT__X", "1", "server.port: a value and a table at once"),
        ("HONGYAN_TOKENS__ISSUERS", '[{"iss": "a"', "tokens.issuers: "),
        ("HONGYAN_KINDS__CHAT", "1", "kinds[...]: Expected `object`, got `int`"),
    ],
)
def test_a_fault_in_a_variable_names_it(name: str, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {name: text})
    assert str(caught.value).startswith(f"{name}: {words}")


def test_a_fault_on_the_command_line_is_told_as_such() -> None:
    with pytest.raises(ConfigError, match=r"^command line: server\.port: Expected `int` <= 65535"):
        load(None, {}, {"server.port": 70000})
    with pytest.raises(ConfigError, match=r"^command line: server\.port: Expected `int`, got"):
        load(None, {}, {"server.port": "many"})


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.toml: No such file or directory$"):
        load(tmp_path / "nothing.toml")
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'[data]\ndir = "\xe9"\n')
    with pytest.raises(ConfigError, match=r"latin\.toml: 'utf-8' codec"):
        load(latin)


def test_value_in_one_source_and_table_in_another_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "server = 1\n")
    with pytest.raises(ConfigError, match="server: a value and a table at once"):
        load(path, {}, {"server.port": 1})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"alg": "HS256"}, "exactly one of"),
        ({"alg": "HS256", "secret": SECRET, "jwks_file": "x"}, "exactly one of"),
        ({"alg": "EdDSA", "secret": SECRET}, "HS256 goes with secret"),
        ({"alg": "HS256", "jwks_file": "x"}, "HS256 goes with secret"),
        ({"alg": "HS256", "secret": "short"}, "shorter than 32 bytes"),
        ({"alg": "RS256", "jwks_url": "http://keys.example/"}, "https://"),
        ({"alg": "RS256", "jwks_url": "http://127.0.0.1.example/"}, "https://"),
    ],
)
def test_an_issuer_has_one_source_of_keys_that_fits(fields: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(None, {}, {"tokens.issuers": [{"iss": "shop", **fields}]})


def test_issuers_have_names_of_their_own() -> None:
    one = {"iss": "shop", "alg": "HS256", "secret": SECRET}
    with pytest.raises(ConfigError, match="'shop' is there twice"):
        load(None, {}, {"tokens.issuers": [one, one]})
    with pytest.raises(ConfigError, match="this server's own"):
        load(None, {}, {"tokens.issuers": [{**one, "iss": "hongyan"}]})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[kinds.grup]\na = 1", "kinds.grup: unknown key; did you mean 'group'?"),
        ("[kinds.group]\nrecal_ms = 1", "kinds.group.recal_ms: unknown key; did you mean"),
        ("[kinds.group]\nrecall_ms = true", "kinds.group.recall_ms: Expected `int`, got `bool`"),
        ("[kinds.group]\nrecall_ms = -1", "kinds.group.recall_ms: a number here is not negative"),
        ("[kinds.group]\npin = 1", "kinds.group.pin: Expected `bool`, got `int`"),
    ],
)
def test_settings_of_kinds_are_compared_with_their_defaults(
    tmp_path: Path, text: str, words: str
) -> None:
    defaults = {"group": {"recall_ms": 120_000, "pin": False}, "direct": {}}
    with pytest.raises(ConfigError) as caught:
        check_kinds(load(write(tmp_path, text)), defaults)
    assert str(caught.value).startswith(words)
    check_kinds(load(write(tmp_path, "[kinds.group]\nrecall_ms = 0\npin = true")), defaults)


def test_A18_printed_settings_hide_secrets() -> None:
    config = load(
        None,
        {"HONGYAN_SERVER__METRICS_TOKEN": "metrics-pass"},
        {"tokens.issuers": [{"iss": "shop", "alg": "HS256", "secret": SECRET}]},
    )
    assert SECRET not in repr(config)
    assert "metrics-pass" not in repr(config)
    assert "shop" in repr(config)


def test_toml_of_the_defaults_is_the_defaults(tmp_path: Path) -> None:
    text = "\n".join(_toml(msgspec.to_builtins(Config())))
    tomllib.loads(text)
    assert load(write(tmp_path, text)) == Config()


def _toml(tree: dict[str, object], at: str = "") -> list[str]:
    lines = [f"[{at}]"] if at else []
    tables = {name: value for name, value in tree.items() if isinstance(value, dict)}
    for name, value in tree.items():
        if name not in tables:
            lines.append(f"{name} = {msgspec.json.encode(value).decode()}")
    for name, value in tables.items():
        lines += _toml(value, f"{at}.{name}" if at else name)
    return lines
