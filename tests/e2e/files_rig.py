"""A service that takes files, on a directory and behind a real socket, with a clock of its own."""

from __future__ import annotations

import base64
import io
import time
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from hongyan.adapters.images import WorkerPictures
from hongyan.adapters.localdisk import LocalDiskBlobs
from hongyan.adapters.memory.bus import MemoryBus
from hongyan.adapters.memory.clock import ManualClock
from hongyan.adapters.memory.search import MemorySearch
from hongyan.adapters.sqlite import SqliteDirectory, SqliteStore
from hongyan.adapters.sqlite.filerecords import SqliteFileRecords
from hongyan.adapters.uploads import LocalUploads
from hongyan.app import build_engine
from hongyan.config import load
from hongyan.engine.files.service import FileAdapters, FileService
from hongyan.model.ids import TenantId, UserId
from hongyan.ports import Pictures, User
from hongyan.transport.files import FileRoutes
from hongyan.transport.front import Front
from hongyan.transport.http import build_http
from hongyan.transport.websocket import GatewayEndpoint, Terms
from hongyan.wire.codec import CODECS

TUS = {"Tus-Resumable": "1.0.0"}
OCTETS = {**TUS, "Content-Type": "application/offset+octet-stream"}
MAIN = TenantId("main")


class Rig:
    """Start with `async with`. Users come with their first token."""

    def __init__(self, data: Path, *, pictures: Pictures | None = None, **options: object) -> None:
        settings = {name.replace("__", "."): value for name, value in options.items()}
        self.config = load(
            None,
            {},
            {"server.port": 0, "files.free_bytes": 0, "limits.rates.asks.rate": 0, **settings},
        )
        self.clock = ManualClock(int(time.time() * 1000))
        self.store = SqliteStore(data)
        self.directory = SqliteDirectory(self.store)
        self.records = SqliteFileRecords(self.store)
        self.blobs = LocalDiskBlobs(data / "blobs", self.clock)
        self.uploads = LocalUploads(data / "uploads")
        self.pictures = pictures or WorkerPictures(pixels=self.config.files.picture_pixels)
        self.bus, self.data = MemoryBus(), data
        self.node = build_engine(
            self.config,
            store=self.store,
            directory=self.directory,
            search=MemorySearch(),
            bus=self.bus,
            clock=self.clock,
            secret=b"s" * 32,
            files=FileAdapters(self.records, self.uploads, self.blobs, self.pictures),
        )
        assert self.node.files is not None
        self.service: FileService = self.node.files
        files, links = self.service.files, self.service.links
        http = build_http(
            self.node.gateway,
            self.node.authenticator,
            self.config,
            publish=self.bus.publish,
            metrics=self.metrics,
            parts=[lambda requests: FileRoutes(requests, files, links).routes()],
        )
        endpoint = GatewayEndpoint(self.node.gateway, CODECS, Terms(1 << 20, 0.5))
        self.front = Front(self.config.server, self.config.limits, endpoint=endpoint, http=http)
        self._tokens: dict[tuple[str, str], str] = {}
        self._op = 0

    async def metrics(self) -> bytes:
        return self.node.metrics.render({})

    async def __aenter__(self) -> Rig:
        self.node.start()
        await self.front.start()
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.front.port}", timeout=60)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()
        await self.front.stop(1.0)
        await self.node.stop(5.0)
        await self.pictures.close()
        await self.uploads.close()
        await self.blobs.close()
        await self.store.close()
        await self.bus.close()

    async def auth(self, user: str, tenant: str = "main") -> dict[str, str]:
        key = (tenant, user)
        if key not in self._tokens:
            await self.directory.put_user(User(tenant=TenantId(tenant), user=UserId(user)))
            self._tokens[key] = await self.node.authenticator.grant(*key)  # type: ignore[arg-type]
        return {"Authorization": f"Bearer {self._tokens[key]}"}

    async def call(self, user: str, name: str, args: Any, log: str = "") -> dict[str, Any]:
        self._op += 1
        got = await self.http.post(
            f"/v1/logs/{log}/calls" if log else "/v1/calls",
            json={"name": name, "args": args},
            headers={**await self.auth(user), "Idempotency-Key": f"o{self._op}"},
        )
        assert got.status_code == 200, got.text
        answer: dict[str, Any] = got.json()
        return answer

    async def talk(self, *users: str) -> str:
        """A group of these users, made by the first one."""
        for user in users:
            await self.auth(user)
        made = await self.call(
            users[0], "chat.create", {"title": "group", "members": list(users[1:])}
        )
        return str(made["log"])

    async def begin(
        self, size: int, name: str = "", claimed: str = "", user: str = "ann", tenant: str = "main"
    ) -> httpx.Response:
        pairs = [("filename", name), ("filetype", claimed)]
        metadata = ",".join(
            f"{key} {base64.b64encode(value.encode('utf-8', 'surrogatepass')).decode()}"
            for key, value in pairs
            if value
        )
        headers = {**TUS, "Upload-Length": str(size), **await self.auth(user, tenant)}
        if metadata:
            headers["Upload-Metadata"] = metadata
        return await self.http.post("/v1/files", headers=headers)

    async def patch(
        self, url: str, offset: int, data: Any, user: str = "ann", tenant: str = "main", **more: str
    ) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in more.items()}
        return await self.http.patch(
            url,
            content=data,
            headers={
                **OCTETS,
                **await self.auth(user, tenant),
                "Upload-Offset": str(offset),
                **named,
            },
        )

    async def offset(self, url: str, user: str = "ann") -> int:
        got = await self.http.head(url, headers={**TUS, **await self.auth(user)})
        assert got.status_code == 200, got.status_code
        return int(got.headers["upload-offset"])

    async def upload(
        self,
        data: bytes,
        name: str = "",
        claimed: str = "",
        user: str = "ann",
        tenant: str = "main",
    ) -> dict[str, Any]:
        """All at once; what has become of it."""
        made = await self.begin(len(data), name, claimed, user, tenant)
        assert made.status_code == 201, made.text
        url = made.headers["location"]
        if data:
            await self.patch(url, 0, data, user, tenant)
        got = await self.http.get(f"{url}?wait=25", headers=await self.auth(user, tenant))
        assert got.status_code == 200, got.text
        view: dict[str, Any] = got.json()
        assert view["state"] in ("ready", "refused"), view
        return view

    async def send(self, user: str, log: str, view: dict[str, Any]) -> int:
        """Say a file; its seq."""
        content: dict[str, Any] = {"type": "file", "blob": view["blob"]}
        if "width" in view:
            kept = ("width", "height", "preview", "placeholder")
            content |= {"type": "image"} | {key: view[key] for key in kept if key in view}
        return int((await self.call(user, "chat.send", {"content": content}, log))["seq"])

    async def links(self, user: str, *items: Any, tenant: str = "main") -> list[dict[str, Any]]:
        got = await self.http.post(
            "/v1/files/links", json={"items": items}, headers=await self.auth(user, tenant)
        )
        assert got.status_code == 200, got.text
        links: list[dict[str, Any]] = got.json()["links"]
        return links

    async def fetch(self, link: dict[str, Any]) -> bytes:
        got = await self.http.get(link["url"])
        assert got.status_code == 200, got.text
        return got.content

    async def collect(self) -> int:
        await self.service.consumer.caught_up()
        return await self.service.collector.collect()

    def files(self) -> list[str]:
        """What lies in the directories of blobs and uploads, notes left out."""
        found = [p for root in ("blobs", "uploads") for p in (self.data / root).rglob("*")]
        return sorted(p.name for p in found if p.is_file() and p.suffix != ".json")


def picture(
    size: tuple[int, int] = (64, 48), kind: str = "PNG", exif: bool = True, **options: Any
) -> bytes:
    """A picture with noise in it, and (exif) a place and a camera."""
    image = Image.effect_noise(size, 90).convert("RGB")
    image.putpixel((0, 0), (255, 0, 0))
    made = io.BytesIO()
    if exif and kind != "GIF":
        options["exif"] = metadata(options.pop("turn", 1))
    image.save(made, kind, **options)
    return made.getvalue()


def metadata(turn: int = 1) -> Image.Exif:
    """A camera at 50° north, 8° east."""
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    exif[0x0112] = turn
    exif[0x8825] = {1: "N", 2: (50.0, 7.0, 0.0), 3: "E", 4: (8.0, 40.0, 0.0)}
    return exif
