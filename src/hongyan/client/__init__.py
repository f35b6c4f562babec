"""The Python SDK of hongyan: calls that survive, logs without holes, a list that is right.

from hongyan.client import Client, PasswordToken

token = PasswordToken("http://localhost:8000", "alice", "secret", device="laptop")
async with Client("http://localhost:8000", token, device="laptop") as client:
    ack = await client.send("main/d/alice~bob", "hello")
"""

from hongyan.client import events
from hongyan.client.connection import Client
from hongyan.client.errors import (
    Closed,
    DataBroken,
    DataInUse,
    LogCut,
    Offline,
    OutboxFull,
    WrongUser,
)
from hongyan.client.events import Event, EventStream
from hongyan.client.ledger import Ledger, read_ledger
from hongyan.client.login import GetToken, PasswordToken, Token, login, post
from hongyan.client.outbox import Outbox, Pending
from hongyan.client.replica import Cut, Message, Replica, fold, fold_page
from hongyan.client.watch import Watch

__all__ = [
    "Client",
    "Closed",
    "Cut",
    "DataBroken",
    "DataInUse",
    "Event",
    "EventStream",
    "GetToken",
    "Ledger",
    "LogCut",
    "Message",
    "Offline",
    "Outbox",
    "OutboxFull",
    "PasswordToken",
    "Pending",
    "Replica",
    "Token",
    "Watch",
    "WrongUser",
    "events",
    "fold",
    "fold_page",
    "login",
    "post",
    "read_ledger",
]
