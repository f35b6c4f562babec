"""A back end that takes webhooks, in a process of its own; it fails when its dice say so.

`webhook_receiver.py PORT FILE SECRET FAIL SEED`: every request that arrives whole is one line of
FILE: whether the signature is good, whether it was taken, and the event. FAIL of the requests are
answered with 500 or 429, cut off, or answered too late, some of them after they were written
down: as a real back end that dies after its commit.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

PORT, FILE, SECRET, FAIL, SEED = sys.argv[1:6]
DICE = random.Random(int(SEED))
OUT = os.open(FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            Webhook(SECRET).verify(body, dict(self.headers.items()))
            good = True
        except WebhookVerificationError:
            good = False
        fate = DICE.random()
        failing = fate < float(FAIL)
        event: dict[str, Any] = json.loads(body)
        line = {
            "good": good,
            "taken": not failing,
            "header": self.headers["webhook-id"],
            "event": event,
        }
        os.write(OUT, json.dumps(line).encode() + b"\n")
        if not failing:
            self.answer(204)
            return
        way = DICE.randrange(4)
        if way == 0:
            self.answer(500)
        elif way == 1:
            self.answer(429)
        elif way == 2:
            self.close_connection = True  # no answer at all
        else:
            time.sleep(1.5)
            self.answer(200)

    def answer(self, status: int) -> None:
        try:
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()
        except OSError:
            self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *args: object) -> None:
        """A server that was killed in the middle of a request is no news."""


if __name__ == "__main__":
    server = Server(("127.0.0.1", int(PORT)), Handler)
    print("ready", flush=True)
    server.serve_forever()
