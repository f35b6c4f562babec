"""Every setting of the server: one frozen struct out of a TOML file, the environment and options.

Later sources win, key by key: defaults, the file, `HONGYAN_SECTION__KEY` variables, command-line
options. A list is replaced as a whole. What is wrong in a source is one `ConfigError` line that
names the source and the key; an unknown key is an error, so a typing mistake is never ignored.
"""

from hongyan.config.loading import ConfigError, check_kinds, load
from hongyan.config.schema import (
    Accounts,
    Admission,
    Audit,
    Config,
    Data,
    Devices,
    Files,
    Issuer,
    Limits,
    Load,
    Logs,
    Presence,
    Quota,
    Rate,
    Rates,
    Receivers,
    Server,
    Telemetry,
    Tokens,
    Webhooks,
)

__all__ = [
    "Accounts",
    "Admission",
    "Audit",
    "Config",
    "ConfigError",
    "Data",
    "Devices",
    "Files",
    "Issuer",
    "Limits",
    "Load",
    "Logs",
    "Presence",
    "Quota",
    "Rate",
    "Rates",
    "Receivers",
    "Server",
    "Telemetry",
    "Tokens",
    "Webhooks",
    "check_kinds",
    "load",
]
