"""Say whether a wheel serves by itself: `wheel_serves.py WHEEL`.

Unpacks the wheel into an empty folder, runs the demonstration from there with this Python's
packages, and asks for the pages, the API and a login: what only works in a checkout fails here.

Exit status: 0 it serves, 1 it does not; the reason is printed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from urllib.error import URLError
from urllib.request import Request, urlopen

SERVES = re.compile(r"hongyan serves (http://\S+) from")
LINK = re.compile(r"#enter=(\S+)")


def get(url: str, body: object = None) -> tuple[int, bytes]:
    """Status and body of an answer."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Hongyan-Request": "1", "Content-Type": "application/json"})
    with urlopen(request, timeout=20) as answer:
        return answer.status, answer.read()


def faults(base: str, code: str) -> list[str]:
    """What does not answer as it must."""
    found = []
    for path, wanted in (
        ("/", b'<div id="app">'),
        ("/console", b"<script"),
        ("/docs", b"<script"),
        ("/v1/openapi.json", b'"openapi":"3.1'),
        ("/readyz", b"true"),
    ):
        status, body = get(base + path)
        if status != 200 or wanted not in body:
            found.append(f"{path}: {status}, and not {wanted!r} in {body[:80]!r}")
    page = get(base + "/")[1].decode()
    assets = re.findall(r'(?:src|href)="(/[^"]+)"', page)
    found += [f"{asset} is missing" for asset in assets if get(base + asset)[0] != 200]
    status, _ = get(base + "/v1/session/enter", {"code": code, "device": "wheel"})
    if status != 201:
        found.append(f"login by a link: {status}")
    return found


def main(wheel: str) -> int:
    """Unpack, serve, ask."""
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(wheel).extractall(folder)
        command = [sys.executable, "-m", "hongyan", "serve", "--demo", "--port", "0"]
        with subprocess.Popen(
            command,
            cwd="/",
            env={**os.environ, "PYTHONPATH": folder},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as server:
            assert server.stdout is not None
            base = code = ""
            for line in server.stdout:
                code = code or "".join(LINK.findall(line)[:1])
                if served := SERVES.match(line):
                    base = served[1]
                    break
            try:
                found = faults(base, code) if base else ["it does not start"]
            except URLError as exc:
                found = [str(exc)]
            finally:
                server.terminate()
    for line in found:
        print(f"the wheel does not serve: {line}")
    return min(len(found), 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
