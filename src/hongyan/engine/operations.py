"""What the operator of a node looks at and puts down, in one place."""

from __future__ import annotations

from typing import Any

import msgspec

from hongyan.config import Config
from hongyan.config.reference import settings
from hongyan.engine.audit import Trail
from hongyan.engine.identity import Identity
from hongyan.engine.inspect import Inspector, must_be_admin
from hongyan.engine.overview import Overview
from hongyan.model.errors import Forbidden, NoSuchEntry
from hongyan.model.files import FileTotals
from hongyan.model.ids import TenantId
from hongyan.ports import FileRecords

OPERATOR = TenantId("main")  # whose administrators see the node as a whole
SECRET_WORDS = frozenset({"secret", "secrets", "password", "token", "key", "keys"})  # in a name


class Operations:
    """The parts live as long as the node does."""

    def __init__(
        self,
        config: Config,
        *,
        trail: Trail,
        overview: Overview,
        inspector: Inspector,
        files: FileRecords | None = None,
    ) -> None:
        """Starts nothing. Without `files` there are none to tell of."""
        self._config, self._files = config, files
        self.trail, self.overview, self.inspector = trail, overview, inspector

    def start(self) -> None:
        """Begin to sample and to drop old audit lines; needs a running loop."""
        self.overview.start()
        self.trail.start()

    async def stop(self) -> None:
        """End that. Idempotent."""
        await self.overview.stop()
        await self.trail.stop()

    @staticmethod
    def must_be_operator(who: Identity) -> None:
        """The whole node is shown to administrators of tenant main only: numbers and settings
        are of all tenants together. Raises Forbidden."""
        must_be_admin(who)
        if who.tenant != OPERATOR:
            raise Forbidden(f"this needs an administrator of tenant {OPERATOR}")

    async def file_totals(self, who: Identity) -> FileTotals:
        """What files there are, of all tenants.

        Raises: Forbidden; NoSuchEntry: this server keeps no files; StoreDown.
        """
        self.must_be_operator(who)
        if self._files is None:
            raise NoSuchEntry("this server keeps no files")
        return await self._files.totals()

    def limits(self, who: Identity) -> list[dict[str, Any]]:
        """The effective settings in the order of the reference, without secrets; `changed`: not
        the default. Raises Forbidden."""
        self.must_be_operator(who)
        values, defaults = _values(self._config), _values(Config())
        found: list[dict[str, Any]] = []
        for setting in settings():
            if "[" in setting.key or setting.key not in values:
                continue  # of the items of a list: the list itself is shown as how many
            value = values[setting.key]
            hidden = SECRET_WORDS.intersection(setting.key.rsplit(".", 1)[-1].split("_"))
            found.append(
                {
                    "key": setting.key,
                    "value": ("…" if value else "") if hidden else _shown(value),
                    "default": setting.default.strip("`"),
                    "text": setting.text,
                    "changed": value != defaults[setting.key],
                }
            )
        return found


def _values(config: Config) -> dict[str, Any]:
    """Every setting by its key."""
    values: dict[str, Any] = {}
    _flatten(msgspec.to_builtins(config), "", values)
    return values


def _flatten(tree: dict[str, Any], at: str, into: dict[str, Any]) -> None:
    for name, value in tree.items():
        key = f"{at}.{name}" if at else name
        into[key] = value
        if isinstance(value, dict) and key != "kinds":
            _flatten(value, key, into)


def _shown(value: Any) -> Any:
    """A value as it may be shown: lists of tables hold secrets, so only how many there are."""
    if isinstance(value, list | tuple) and any(isinstance(item, dict) for item in value):
        return f"{len(value)}"
    return value
