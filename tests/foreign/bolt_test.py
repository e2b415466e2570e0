"""Bolt, Slack's own framework, which OpenClaw uses, as a stand-in pool with the delivery secret as its signing secret:
it accepts a click, a modal, a shortcut and a slash command that Slack sent to our front door.
"""

import json
import os
import queue
import secrets
import subprocess
import threading
from pathlib import Path
from urllib.parse import urlencode

import pytest
import requests

from conftest import PATIENCE, demo
from slack_sdk_test import signed

BOLT = Path(__file__).parent / "bolt"
FORM = "application/x-www-form-urlencoded"


class BoltPool:
    """Has the interface of the stand-in pool that `demo` needs."""

    def __init__(self, secret: str):
        environment = os.environ | {"SIGNING_SECRET": secret, "ENDPOINT": "/slack/events/slack-A00DEMO-T00DEMO"}
        self.process = subprocess.Popen(
            ["node", "pool.mjs"], cwd=BOLT, env=environment, stdout=subprocess.PIPE, text=True,
        )
        self.arrived = queue.Queue()
        self.address = json.loads(self.process.stdout.readline())["address"]
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.arrived.put(json.loads(line))

    def next(self, took: str) -> dict:
        while (arrived := self.arrived.get(timeout=PATIENCE))["took"] != took:
            pass
        return arrived

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=15)


@pytest.fixture(scope="module")
def bolt(scratch):
    settings = {name: secrets.token_hex(32) for name in ("DEMO_SLACK_SIGNING_SECRET", "DEMO_DELIVERY_SECRET")}
    pool = BoltPool(settings["DEMO_DELIVERY_SECRET"])
    try:
        with demo(scratch, pool, settings) as stack:
            yield stack, pool
    finally:
        pool.close()


def send(stack, path: str, fields: dict):
    body = urlencode(fields).encode()
    headers = signed(stack.settings["DEMO_SLACK_SIGNING_SECRET"], body) | {"content-type": FORM}
    answer = requests.post(f"{stack.url}{path}", data=body, headers=headers, timeout=10)
    assert (answer.status_code, answer.content) == (200, b"")


def interaction(kind: str, **fields) -> dict:
    return {"payload": json.dumps({
        "type": kind, "team": {"id": "T00DEMO", "domain": "demo"}, "user": {"id": "U00DEMO", "team_id": "T00DEMO"},
        "token": "deprecated", "enterprise": None, "is_enterprise_install": False,
    } | fields)}


def test_bolt_takes_a_click(bolt):
    stack, pool = bolt
    click = interaction(
        "block_actions", api_app_id="A00DEMO", trigger_id="1.click", channel={"id": "C00DEMO", "name": "gate"},
        container={"type": "message", "message_ts": "1.1", "channel_id": "C00DEMO"},
        message={"type": "message", "ts": "1.1", "text": "Shall I?"},
        actions=[{"type": "button", "action_id": "approve", "block_id": "b1", "value": "ja, öffnen & weiter=1 +", "action_ts": "1.2"}],
    )
    send(stack, "/api/slack/interactions", click)
    assert pool.next("action") == {
        "took": "action", "value": "ja, öffnen & weiter=1 +", "team": "T00DEMO", "trigger": "1.click",
    }


def test_bolt_takes_a_slash_command(bolt):
    stack, pool = bolt
    send(stack, "/api/slack/commands", {
        "token": "deprecated", "team_id": "T00DEMO", "team_domain": "demo", "channel_id": "C00DEMO", "channel_name": "gate",
        "user_id": "U00DEMO", "user_name": "demo", "command": "/gate", "text": "open: é & ü", "api_app_id": "A00DEMO",
        "is_enterprise_install": "false", "trigger_id": "2.command",
    })
    assert pool.next("command") == {
        "took": "command", "text": "open: é & ü", "team": "T00DEMO", "trigger": "2.command",
    }


def test_bolt_takes_a_modal_and_a_shortcut_that_names_no_app(bolt):
    stack, pool = bolt
    view = {"id": "V00DEMO", "type": "modal", "callback_id": "form", "state": {"values": {}}}
    send(stack, "/api/slack/interactions", interaction("view_submission", api_app_id="A00DEMO", trigger_id="3.view", view=view))
    assert pool.next("view") == {"took": "view", "id": "V00DEMO"}
    shortcut = interaction("shortcut", trigger_id="4.shortcut", callback_id="anywhere", action_ts="1.3")
    send(stack, "/api/slack/interactions/channel-demo", shortcut)
    assert pool.next("shortcut") == {"took": "shortcut", "trigger": "4.shortcut"}
