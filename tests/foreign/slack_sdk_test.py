"""Slack's own SDK and ours agree on signatures: each accepts the other's."""

import hashlib
import hmac
import itertools
import json
import time
from urllib.parse import urlencode

import pytest
import requests
from slack_sdk.signature import SignatureVerifier

from conftest import PATIENCE

ids = itertools.count(1)


def event(text: str, **inner) -> dict:
    number = next(ids)
    return {
        "type": "event_callback", "team_id": "T00DEMO", "api_app_id": "A00DEMO", "event_id": f"Ev{number:08}",
        "event": {
            "type": "message", "channel": "C00SDK", "user": "U1", "text": text, "event_ts": f"1700000000.{number:06}",
        } | inner,
    }


def signed(secret: str, body: bytes, offset: int = 0) -> dict[str, str]:
    """Headers of a body signed by Slack's SDK, `offset` seconds from now."""
    timestamp = str(int(time.time()) + offset)
    signature = SignatureVerifier(secret).generate_signature(timestamp=timestamp, body=body)
    return {
        "x-slack-request-timestamp": timestamp, "x-slack-signature": signature, "content-type": "application/json",
    }


@pytest.fixture
def send(stack):
    def send(body, headers=None, path="/api/slack/events"):
        raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        headers = headers or signed(stack.settings["DEMO_SLACK_SIGNING_SECRET"], raw)
        return requests.post(f"{stack.url}{path}", data=raw, headers=headers, timeout=10)

    return send


def refused(answer) -> bool:
    return answer.status_code == 401 and answer.json()["message"] == "Invalid signature"


def test_an_event_signed_by_the_sdk_is_delivered_once_with_a_signature_that_the_sdk_takes(stack, send, pool):
    body = json.dumps(event("over the wire: \N{LOCK} é \\ \"")).encode()
    for retry in range(3):
        headers = signed(stack.settings["DEMO_SLACK_SIGNING_SECRET"], body)
        if retry:
            headers |= {"x-slack-retry-num": str(retry), "x-slack-retry-reason": "http_timeout"}
        answer = send(body, headers)
        assert (answer.status_code, answer.json()) == (200, {"ok": True})
    # A later message of the same conversation: once it arrives, all copies of the first have arrived.
    assert send(event("the next")).status_code == 200
    arrived = [delivery for delivery in pool.until("the next") if delivery.body == body]
    assert len(arrived) == 1
    delivery = arrived[0]
    assert delivery.path == "/slack/events/slack-A00DEMO-T00DEMO"
    assert SignatureVerifier(stack.settings["DEMO_DELIVERY_SECRET"]).is_valid_request(delivery.body, delivery.headers)
    for other in ("DEMO_SLACK_SIGNING_SECRET", "SLACK_SIGNING_SECRET"):
        assert not SignatureVerifier(stack.settings[other]).is_valid_request(delivery.body, delivery.headers)


def form(fields: dict) -> bytes:
    return urlencode({"team_id": "T00DEMO", "api_app_id": "A00DEMO", "channel_id": "C00FORM"} | fields).encode()


def interaction(**payload) -> bytes:
    return urlencode({"payload": json.dumps({
        "type": "block_actions", "team": {"id": "T00DEMO"}, "api_app_id": "A00DEMO", "channel": {"id": "C00FORM"},
    } | payload)}).encode()


@pytest.mark.parametrize("path, body", [
    ("/api/slack/interactions", interaction(trigger_id="1.form", text="é & = + 🔒")),
    ("/api/slack/interactions/channel-demo", interaction(trigger_id="2.form")),
    ("/api/slack/commands", form({"command": "/gate", "text": "é & = + 🔒", "trigger_id": "3.form"})),
    ("/api/slack/commands/channel-demo", form({"command": "/gate", "trigger_id": "4.form"})),
])
def test_the_sdk_takes_what_the_relay_signs_of_a_form(stack, send, pool, path, body):
    headers = signed(stack.settings["DEMO_SLACK_SIGNING_SECRET"], body)
    headers["content-type"] = "application/x-www-form-urlencoded"
    answer = send(body, headers, path)
    assert (answer.status_code, answer.content) == (200, b"")
    while (delivery := pool.arrived.get(timeout=PATIENCE)).body != body:
        pass
    assert (delivery.path, delivery.headers["content-type"]) == ("/slack/events/slack-A00DEMO-T00DEMO", headers["content-type"])
    assert SignatureVerifier(stack.settings["DEMO_DELIVERY_SECRET"]).is_valid_request(delivery.body, delivery.headers)
    assert not SignatureVerifier(stack.settings["DEMO_SLACK_SIGNING_SECRET"]).is_valid_request(delivery.body, delivery.headers)
    assert refused(send(body, headers | {"x-slack-signature": "v0=" + "0" * 64}, path))


def test_a_raw_utf_8_body_is_taken_and_delivered_to_the_byte(send, pool):
    body = json.dumps(event("ünïcödé \N{OLD KEY}"), ensure_ascii=False, indent=1).encode()
    assert send(body).status_code == 200
    assert pool.until("ünïcödé \N{OLD KEY}")[-1].body == body


def test_a_channels_own_path_takes_what_the_sdk_signs(send, pool):
    assert send(event("by its path"), path="/api/slack/events/channel-demo").status_code == 200
    assert pool.until("by its path")


@pytest.mark.parametrize("offset, taken", [(-301, False), (-290, True), (290, True), (310, False)])
def test_a_signature_counts_five_minutes_either_way(stack, send, offset, taken):
    body = json.dumps(event(f"off by {offset}")).encode()
    answer = send(body, signed(stack.settings["DEMO_SLACK_SIGNING_SECRET"], body, offset))
    assert answer.status_code == 200 if taken else refused(answer)


@pytest.mark.parametrize("tampered", [
    "body", "timestamp", "signature", "upper case", "no version", "trailing", "no signature", "no timestamp", "secret",
])
def test_a_tampered_request_is_refused(stack, send, tampered):
    body = json.dumps(event("tampered")).encode()
    headers = signed(stack.settings["DEMO_SLACK_SIGNING_SECRET"], body)
    signature = headers["x-slack-signature"]
    match tampered:
        case "body":
            body = body.replace(b"tampered", b"temperad")
        case "timestamp":
            headers["x-slack-request-timestamp"] = str(int(headers["x-slack-request-timestamp"]) + 1)
        case "signature":
            headers["x-slack-signature"] = signature[:-1] + ("0" if signature[-1] != "0" else "1")
        case "upper case":
            headers["x-slack-signature"] = "v0=" + signature[3:].upper()
        case "no version":
            headers["x-slack-signature"] = signature[3:]
        case "trailing":
            headers["x-slack-signature"] = signature + "0"
        case "no signature":
            del headers["x-slack-signature"]
        case "no timestamp":
            del headers["x-slack-request-timestamp"]
        case "secret":
            headers = signed(stack.settings["DEMO_DELIVERY_SECRET"], body)
    assert refused(send(body, headers))


def test_a_url_verification_is_answered_with_its_challenge_where_it_is_signed(stack, send):
    body = json.dumps({"type": "url_verification", "token": "legacy", "challenge": "a-challenge"}).encode()
    answer = send(body, signed(stack.settings["SLACK_SIGNING_SECRET"], body))
    assert (answer.status_code, answer.json()) == (200, {"challenge": "a-challenge"})
    own = send(body, signed(stack.settings["DEMO_SLACK_SIGNING_SECRET"], body), "/api/slack/events/channel-demo")
    assert (own.status_code, own.json()) == (200, {"challenge": "a-challenge"})
    assert refused(send(body, signed("of-somebody-else-entirely", body)))


@pytest.mark.parametrize("secret, path, body", [
    ("SLACK_SIGNING_SECRET", "", b"\xff\xfe\x00 no text and no JSON"),
    ("DEMO_SLACK_SIGNING_SECRET", "/channel-demo", b'{"type":"event_callback","team_id":"T00DEMO","api_app_id":"A00DEMO","x":"\xff"}'),
])
def test_a_body_that_is_no_text_is_refused_for_its_signature_first_and_then_for_itself(stack, send, secret, path, body):
    # The SDK signs only text, so these are signed by hand.
    timestamp = str(int(time.time()))
    mac = hmac.new(stack.settings[secret].encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {"x-slack-request-timestamp": timestamp, "content-type": "application/json"}
    path = f"/api/slack/events{path}"
    assert refused(send(body, headers | {"x-slack-signature": "v0=" + "0" * 64}, path))
    answer = send(body, headers | {"x-slack-signature": f"v0={mac}"}, path)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")
