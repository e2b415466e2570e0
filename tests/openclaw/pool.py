"""The stack of `cargo local`, and a pool: the sidecar with the real OpenClaw."""

import hashlib
import hmac
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

# Time-out of a wait, in seconds. OpenClaw takes up to 77 s to start, and the back-off of an event is up to 2 minutes.
PATIENCE = 300
LOOK = 0.1


def eventually(what, condition, seconds=PATIENCE):
    """Waits until the condition returns a true value, and returns that value."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(LOOK)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def log_lines(file):
    """Lines of a log that are JSON objects, in order."""
    lines = file.read_text(errors="replace").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


def npm_settings():
    """npm's own settings as environment variables, for another user whose npm cannot read this user's files."""
    settings = {name: value for name, value in os.environ.items() if name.lower().startswith("npm_config_")}
    for name in ("registry", "cafile"):
        value = subprocess.run(["npm", "config", "get", name], capture_output=True, text=True).stdout.strip()
        if value not in ("", "null", "undefined"):
            settings.setdefault(f"npm_config_{name}", value)
    return settings


class Stack:
    """The stack, in a separate process."""

    def __init__(self, program, settings, log):
        self.internal_token, self.log = secrets.token_hex(24), log
        environment = {
            "ENCRYPTION_KEY": secrets.token_hex(32),
            "INTERNAL_API_TOKEN": self.internal_token,
            "SKILL_API_TOKEN": secrets.token_hex(24),
            "SLACK_SIGNING_SECRET": secrets.token_hex(16),
            "BETTER_AUTH_SECRET": secrets.token_hex(32),
            **settings,
        }
        self.process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log.open("w"), text=True
        )
        ready = self.tell({"environment": environment, "data": None, "database_url": None, "patience": 20})
        self.url = ready["base_url"]

    def tell(self, line):
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise AssertionError("the stack has ended: see its log")
        return json.loads(answer)

    def order(self, order, **arguments):
        answer = self.tell({"order": order, **arguments})
        if "error" in answer:
            raise AssertionError(f"{order}: {answer['error']}")
        return answer

    def request(self, method, path, body=None, headers=None):
        """Status and JSON body of an answer."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        headers = {"content-type": "application/json", **(headers or {})}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def internal(self, method, path, body=None):
        status, answer = self.request(method, path, body, {"x-internal-token": self.internal_token})
        assert status in (200, 201), f"{method} {path}: {status} {answer}"
        return answer

    def lines(self):
        return log_lines(self.log)

    def end(self):
        # The process ends when its standard input does.
        self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Channel:
    """A connected Slack channel: an app in a workspace."""

    def __init__(self, stack, number, bot):
        self.stack, self.bot, self.number = stack, bot, number
        self.team, self.app, self.bot_user = f"T0TEAM{number}", f"A0APP{number}", f"U0BOT{number}"
        self.signing_secret, self.delivery_secret = secrets.token_hex(16), secrets.token_hex(32)

    def connect(self, bot_token):
        self.stack.order(
            "channel",
            channel=f"channel-{self.number}",
            bot=self.bot,
            team=self.team,
            app=self.app,
            botUser=self.bot_user,
            botToken=bot_token,
            signingSecret=self.signing_secret,
            deliverySecret=self.delivery_secret,
        )

    def send(self, event):
        """Sends an event as Slack does. Returns the time until its answer, in seconds."""
        body = json.dumps({
            "token": "none",
            "team_id": self.team,
            "api_app_id": self.app,
            "type": "event_callback",
            "event_id": "Ev" + secrets.token_hex(6),
            "event_time": int(time.time()),
            "authorizations": [{"team_id": self.team, "user_id": self.bot_user, "is_bot": True}],
            "event": {"team": self.team, "event_ts": event["ts"], **event},
        }).encode()
        timestamp = str(int(time.time()))
        digest = hmac.new(self.signing_secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256)
        headers = {"x-slack-signature": "v0=" + digest.hexdigest(), "x-slack-request-timestamp": timestamp}
        began = time.monotonic()
        status, answer = self.stack.request("POST", "/api/slack/events", body, headers)
        assert status == 200, f"the event got {status}: {answer}"
        return time.monotonic() - began


class FeishuChannel:
    """A connected Feishu app without an encrypt key, and its events."""

    def __init__(self, stack, number, bot):
        self.stack, self.of = stack, bot
        self.app, self.bot = f"cli_0app{number}", f"ou_0bot{number}"
        self.app_secret, self.verification_token = secrets.token_hex(16), secrets.token_hex(16)
        # The port of the pool's webhook server is derived from the ids: random ids give concurrent runs different
        # ports.
        self.channel = f"feishu-{secrets.token_hex(4)}"

    def connect(self):
        self.stack.order(
            "feishu",
            channel=self.channel,
            bot=self.of,
            app=self.app,
            botUser=self.bot,
            appSecret=self.app_secret,
            verificationToken=self.verification_token,
        )

    def send(self, kind, event):
        """Sends an event as Feishu does."""
        path = "card-action" if kind == "card.action.trigger" else "events"
        body = json.dumps(self.envelope(kind, event, self.verification_token)).encode()
        status, answer = self.stack.request("POST", f"/api/feishu/{path}", body)
        assert status == 200, f"the event got {status}: {answer}"

    def envelope(self, kind, event, token):
        now = time.time()
        header = {"event_id": secrets.token_hex(16), "event_type": kind, "create_time": str(int(now * 1000))}
        header |= {"token": token, "app_id": self.app, "tenant_key": "a-tenant"}
        return {"schema": "2.0", "header": header, "event": event}

    def forge(self, account, kind, event):
        """Posts an event directly to the pool's webhook server, signed with another key. Returns the status of the
        answer.

        The signature is SHA-256 over timestamp, nonce, encrypt key and raw body.
        """
        body = json.dumps(self.envelope(kind, event, account["verificationToken"])).encode()
        timestamp, nonce = str(int(time.time())), secrets.token_hex(8)
        signed = (timestamp + nonce + secrets.token_hex(32)).encode() + body
        headers = {
            "content-type": "application/json",
            "x-lark-request-timestamp": timestamp,
            "x-lark-request-nonce": nonce,
            "x-lark-signature": hashlib.sha256(signed).hexdigest(),
        }
        # The configured host may be 0.0.0.0.
        url = f"http://127.0.0.1:{account['webhookPort']}{account['webhookPath']}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def message(self, chat, kind, text, *, person, mentions=False, root=None, thread=None):
        """Event body of type `im.message.receive_v1`. `kind` is the chat's type: `p2p` or `group`."""
        ids = {"open_id": person, "union_id": person.replace("ou_", "on_", 1), "user_id": None}
        message = {
            "message_id": "om_" + secrets.token_hex(16),
            "create_time": str(int(time.time() * 1000)),
            "chat_id": chat,
            "chat_type": kind,
            "message_type": "text",
            "content": json.dumps({"text": f"@_user_1 {text}" if mentions else text}),
        }
        if mentions:
            bot = {"open_id": self.bot, "union_id": "on_bot", "user_id": None}
            message["mentions"] = [{"key": "@_user_1", "id": bot, "name": "bot", "tenant_key": "a-tenant"}]
        if root:
            message |= {"root_id": root, "parent_id": root}
        if thread:
            message["thread_id"] = thread
        return {"sender": {"sender_id": ids, "sender_type": "user", "tenant_key": "a-tenant"}, "message": message}

    def press(self, chat, message, value, *, person):
        """Event body of type `card.action.trigger`, for a pressed button of a card."""
        return {
            "operator": {"open_id": person, "union_id": "on_person", "user_id": "person", "tenant_key": "a-tenant"},
            "token": "c-" + secrets.token_hex(16),
            "action": {"tag": "button", "value": value},
            "host": "im_message",
            "context": {"open_message_id": message, "open_chat_id": chat},
        }


class DiscordChannel:
    """A connected Discord bot."""

    def __init__(self, stack, number, bot):
        self.stack, self.of = stack, bot
        self.bot = f"10000000000000000{number}"
        self.token = f"not-a-real-token-{secrets.token_hex(8)}"

    def connect(self):
        self.stack.order(
            "discord", channel="channel-discord", bot=self.of, app=self.bot, botUser=self.bot, token=self.token
        )


class Pool:
    """A pool's machine: a folder, a sidecar, and the OpenClaw that the sidecar starts."""

    def __init__(self, stack, name, scratch, openclaw, node, sidecar, settings, user):
        # `settings` are environment variables of the gateway only: `openclaw plugins install` must reach the real
        # registry.
        self.stack, self.name, self.sidecar_program, self.user = stack, name, sidecar, user
        self.port = free_port()
        self.folder = scratch / name
        self.folder.mkdir()
        self.state = self.folder / "state"
        self.log = self.folder / "log.txt"
        self.own_folder(self.state)
        self.own_folder(self.folder / "tmp")
        self.wrapper = self.folder / "openclaw-under-test"
        exports = " ".join(f'{name}="{value}"' for name, value in settings.items())
        self.wrapper.write_text(
            "#!/bin/sh\n"
            f'export PATH="{node.parent}:$PATH"\n'
            f'[ "$1" != gateway ] || export {exports}\n'
            f'exec "{node}" "{openclaw}" "$@"\n'
        )
        self.wrapper.chmod(0o755)
        # Overrides the configuration, which names every interface and the one port of all pools.
        self.command = [self.wrapper, "gateway", "run", "--bind", "loopback", "--port", str(self.port)]
        self.log.touch()
        self.process = None
        self.npm = npm_settings()

    def own_folder(self, folder):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700)
        if self.user:
            found = pwd.getpwnam(self.user)
            os.chown(folder, found.pw_uid, found.pw_gid)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def environment(self):
        names = ["PATH", "HOME", "USER", "LANG", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"]
        environment = {name: os.environ[name] for name in names if name in os.environ}
        environment.update(self.npm)
        environment["PORTCULLIS_PASS_ENV"] = " ".join([*self.npm, "SSL_CERT_FILE"])
        environment["TMPDIR"] = str(self.folder / "tmp")
        environment["OPENCLAW_STATE_DIR"] = str(self.state)
        environment["PORTCULLIS_API_URL"] = self.stack.url
        environment["PORTCULLIS_POOL_ID"] = self.name
        environment["PORTCULLIS_POD_IP"] = environment["PORTCULLIS_GATEWAY"] = self.address
        environment["PORTCULLIS_RUN_DIR"] = str(self.folder / "run")
        environment["PORTCULLIS_TOKEN_FILE"] = str(self.folder / "token")
        if self.user:
            environment["PORTCULLIS_CHILD_USER"] = self.user
        return environment

    def prepare(self, plugins, others):
        """Has the sidecar install the Slack plugin on the first run, and reuses that installation later.

        The other plugins are copied from their installation folder.
        """
        installed = self.state / "npm"
        for folder in (plugins, others):
            if folder.exists():
                shutil.copytree(folder, installed, symlinks=True, dirs_exist_ok=True)
        if self.user:
            subprocess.run(["chown", "-R", f"{self.user}:", installed], check=True)
        with self.log.open("a") as log:
            command = [self.sidecar_program, "prepare", "slack", "--", *self.command]
            done = subprocess.run(command, env=self.environment(), stderr=log, stdout=log, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"the pool was not prepared: see {self.log}"
        if not plugins.exists():
            kept = plugins.with_name(plugins.name + ".new")
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(installed, kept, symlinks=True)
            for other in (others / "projects").iterdir():
                shutil.rmtree(kept / "projects" / other.name)
            if self.user:
                subprocess.run(["chown", "-R", "0:0", kept], check=True)
            kept.rename(plugins)

    def register(self):
        """Registers the pool and gives its machine a token that is valid only for the pool."""
        registration = {"poolId": self.name, "podIp": self.address, "status": "pending"}
        self.stack.internal("POST", "/api/internal/pools/register", registration)
        path = f"/api/internal/pools/{self.name}/runtime-tokens"
        token = self.stack.internal("POST", path, {"ttlSeconds": 3600})["token"]
        file = self.folder / "token"
        file.touch(0o600)
        file.write_text(token)

    def start(self):
        with self.log.open("a") as log:
            command = [self.sidecar_program, "--", *self.command]
            streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            self.process = subprocess.Popen(command, env=self.environment(), start_new_session=True, **streams)

    def accounts(self, platform):
        """Accounts of a platform in the configuration that the sidecar has written."""
        config = json.loads((self.state / "openclaw.json").read_text())
        return config["channels"].get(platform, {}).get("accounts", {})

    def lines(self):
        """The sidecar's log lines, in order."""
        return log_lines(self.log)

    def told(self, message):
        """The sidecar's log lines with this message."""
        return [line for line in self.lines() if line["message"].startswith(message)]

    def openclaw(self):
        """Process id of the latest OpenClaw; None before the first start."""
        started = [line["pid"] for line in self.told("started OpenClaw")]
        return started[-1] if started else None

    def is_running(self, pid):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        return state not in "ZX"

    def run_openclaw(self, *arguments):
        """Output of an OpenClaw command, run as OpenClaw's user beside the running gateway."""
        found = pwd.getpwnam(self.user) if self.user else pwd.getpwuid(os.getuid())
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": found.pw_dir,
            "TMPDIR": str(self.folder / "tmp"),
            "OPENCLAW_STATE_DIR": str(self.state),
            "OPENCLAW_CONFIG_PATH": str(self.state / "openclaw.json"),
            "OPENCLAW_CONFIG_READONLY": "1",
            "OPENCLAW_NO_RESPAWN": "1",
        }
        ids = {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []} if self.user else {}
        done = subprocess.run(
            [self.wrapper, *arguments],
            env=environment,
            cwd=self.folder,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
            **ids,
        )
        assert done.returncode == 0, f"openclaw {arguments}: {done.stdout!r} {done.stderr!r}"
        return done.stdout

    def kill_sidecar(self):
        self.process.kill()
        self.process.wait()

    def kill_openclaw(self):
        pid = self.openclaw()
        os.kill(pid, signal.SIGKILL)
        eventually("a killed process is gone", lambda: not self.is_running(pid), 10)
        return pid

    def stop(self):
        """Stops the sidecar and its OpenClaw, as an operator does. Returns the sidecar's exit code."""
        self.process.terminate()
        return self.process.wait(60)

    def end(self):
        """Ends every process that still runs."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        # Processes left by a killed OpenClaw are identified by their environment.
        mark = f"OPENCLAW_STATE_DIR={self.state}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                is_ours = mark in (folder / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if is_ours and int(folder.name) != os.getpid():
                try:
                    os.kill(int(folder.name), signal.SIGKILL)
                except ProcessLookupError:
                    pass
