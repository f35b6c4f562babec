"""A back end that receives a user's entries: standard library only, and no entry is lost.

usage: URL=http://127.0.0.1:8000 TOKEN=… python receive_updates.py
"""

# [start]
import json
import os
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

URL, TOKEN = os.environ["URL"], os.environ["TOKEN"]
PLACE = Path(os.environ.get("CURSOR_FILE", "cursor"))  # survives this process


def ask(cursor: str) -> Any:
    """The entries behind a cursor; waits up to 25 seconds for the first one."""
    query = urlencode({"cursor": cursor, "wait": 25} if cursor else {"after": 0})
    request = urllib.request.Request(f"{URL}/v1/updates?{query}")
    request.add_header("Authorization", f"Bearer {TOKEN}")
    with urllib.request.urlopen(request, timeout=40) as answer:
        return json.load(answer)


cursor = PLACE.read_text() if PLACE.exists() else ""
while True:
    try:
        answer = ask(cursor)
    except (OSError, ValueError) as problem:
        if isinstance(problem, urllib.error.HTTPError) and problem.code < 429:
            raise  # the token, or the cursor: asking again does not help
        time.sleep(1)  # the network or the server is away; nothing is lost meanwhile
        continue
    for update in answer["entries"]:
        entry = update["entry"]
        print(update["log"], entry["seq"], entry["type"], flush=True)  # your work
    cursor = answer["cursor"]
    PLACE.write_text(cursor)  # after the work: who dies before gets the same entries again
# [end]
