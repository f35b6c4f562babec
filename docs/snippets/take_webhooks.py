"""A back end that takes webhooks, with nothing but the standard library.

take_webhooks.py PORT SECRET
"""

import base64
import hashlib
import hmac
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

PORT, SECRET = int(sys.argv[1]), sys.argv[2]
TOLERANCE_S = 300  # an older request may be one that somebody has recorded
done: set[str] = set()  # keep the ids where you keep what you do with the events


def is_genuine(headers, body: bytes) -> bool:
    """Whether somebody who knows the secret has sent this, just now."""
    stamp = headers["webhook-timestamp"] or ""
    if not stamp.isdigit() or abs(time.time() - int(stamp)) > TOLERANCE_S:
        return False
    signed = f"{headers['webhook-id']}.{stamp}.".encode() + body
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    want = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    given = (headers["webhook-signature"] or "").split(" ")
    return any(hmac.compare_digest(want, one) for one in given)


class Handler(BaseHTTPRequestHandler):
    """Takes events."""

    def do_POST(self):
        """One event."""
        body = self.rfile.read(int(self.headers["content-length"]))
        if not is_genuine(self.headers, body):
            self.send_response(401)
        else:
            event = json.loads(body)
            if event["id"] not in done:  # the same event may come more than once
                print(event["type"], event.get("log", ""), flush=True)
                done.add(event["id"])
            self.send_response(204)  # only now: it will not come again
        self.end_headers()

    def log_message(self, *args):
        """Say nothing of each request."""


HTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
