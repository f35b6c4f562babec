"""Signatures, by the reference algorithm and by the reference library (rules WH)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

import pytest
import standardwebhooks
from standardwebhooks.webhooks import WebhookVerificationError
from webhook_rig import ADMIN, A, Shop

from hongyan.engine.backends.signing import check_secret, new_secret, rotated, sign
from hongyan.model.errors import BadArgs
from hongyan.model.outlets import Secret

BODY = '{"text":"你好"}'.encode()


def test_WH3_the_vector_of_the_specification() -> None:
    """Secret, id, time, body and signature as the specification's libraries test them."""
    secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = sign(
        [secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330_000, b'{"test": 2432232314}'
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_WH3_signed_as_the_specification_says() -> None:
    secret, now_ms = new_secret(), 1_700_000_000_500
    headers = sign([secret], "msg_1", now_ms, BODY)
    key = base64.b64decode(secret.text.removeprefix("whsec_"))
    mac = hmac.new(key, b"msg_1.1700000000." + BODY, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(mac).decode()


def test_WH3_the_reference_library_takes_it_and_nothing_else() -> None:
    secret = new_secret()
    headers = sign([secret], "msg_1", int(time.time() * 1000), BODY)
    standardwebhooks.Webhook(secret.text).verify(BODY, headers)
    for data, given, key in (
        (BODY + b" ", headers, secret),
        (BODY, {**headers, "webhook-id": "msg_2"}, secret),
        (BODY, headers, new_secret()),
    ):
        with pytest.raises(WebhookVerificationError):
            standardwebhooks.Webhook(key.text).verify(data, given)


def test_WH3_during_a_rotation_both_secrets_sign_then_the_new_one_alone() -> None:
    now_ms = int(time.time() * 1000)
    old, new = new_secret(), new_secret()
    both = rotated([old], new, now_ms=now_ms, keep_ms=60_000)
    headers = sign(both, "msg_1", now_ms, BODY)
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (old, new):
        standardwebhooks.Webhook(secret.text).verify(BODY, headers)
    later = sign(both, "msg_1", now_ms + 60_001, BODY)
    assert len(later["webhook-signature"].split(" ")) == 1
    assert rotated([old], new, now_ms=now_ms, keep_ms=0) == (new,)
    third = new_secret()
    assert [s.text for s in rotated(both, third, now_ms=now_ms, keep_ms=1)] == [
        third.text,
        new.text,
    ]


@pytest.mark.parametrize(
    "text",
    ["", "secret", "whsec_", "whsec_!!", "whsec_" + "QUJD", "whsec_" + "QUJD" * 30, "MfKQ9r8GKYqr"],
)
def test_WH3_a_secret_has_24_to_64_bytes(text: str) -> None:
    with pytest.raises(BadArgs):
        check_secret(text)


async def test_WH3_rotation_of_a_webhook_signs_with_both() -> None:
    async with Shop() as shop:
        webhook = await shop.make()
        fresh = await shop.webhooks.rotate(ADMIN, webhook)
        assert (await shop.webhooks.get(ADMIN, webhook)).secrets == 2
        await shop.say(A, "1")
        await shop.target.until(lambda: len(shop.target.posts) == 1)
    _, headers, body = shop.target.posts[0]
    for text in (shop.secret, fresh):
        standardwebhooks.Webhook(text).verify(body, dict(headers))
