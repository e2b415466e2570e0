"""Fake servers that OpenClaw calls: Slack's Web API, Feishu's API, Discord's API and gateway, and a model.

The model has an OpenAI-compatible endpoint.
"""

import base64
import contextlib
import hashlib
import json
import re
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

# Mark of a message that expects an answer. The model's answer repeats the mark, which links it to the message.
MARK = re.compile(r"mark-[0-9a-f]{12}")


class StandIn:
    """An HTTP server on a free port of 127.0.0.1 that records its requests in order."""

    def __init__(self, log):
        stand_in = self
        self.log = log.open("w")

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if self.headers.get("upgrade", "").lower() == "websocket":
                    return stand_in.upgrade(self)
                return stand_in.answer(self, b"")

            def do_POST(self):
                stand_in.answer(self, stand_in.read_body(self))

            do_PUT = do_PATCH = do_DELETE = do_POST

            def do_CONNECT(self):
                stand_in.connect(self)

            def log_message(self, *_):
                pass

        self.changed = threading.Condition()
        class Server(ThreadingHTTPServer):
            def handle_error(self, request, client_address):
                # Broken connections of killed processes are expected.
                if not isinstance(sys.exc_info()[1], ConnectionError):
                    super().handle_error(request, client_address)

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def note(self, entries, entry):
        with self.changed:
            entries.append(entry)
            print(json.dumps(entry), file=self.log, flush=True)
            self.changed.notify_all()

    def wait_for(self, condition, seconds):
        """Waits until the condition returns a true value; None after the time-out."""
        with self.changed:
            self.changed.wait_for(condition, seconds)
            return condition()

    @staticmethod
    def read_body(request):
        """Body of a request, with a content length or chunked."""
        if request.headers.get("transfer-encoding", "").lower() != "chunked":
            return request.rfile.read(int(request.headers.get("content-length") or 0))
        body = b""
        while length := int(request.rfile.readline().partition(b";")[0], 16):
            body += request.rfile.read(length)
            request.rfile.readline()
        request.rfile.readline()
        return body

    def connect(self, request):
        """Refuses a proxy request."""
        request.send_error(405)

    def upgrade(self, request):
        """Refuses a WebSocket handshake."""
        request.send_error(400)

    def end(self):
        self.server.shutdown()
        self.server.server_close()
        self.log.close()

    @staticmethod
    def send_json(request, value, status=200):
        body = json.dumps(value).encode()
        request.send_response(status)
        request.send_header("content-type", "application/json")
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


class Slack(StandIn):
    """Slack's Web API, limited to OpenClaw's calls. Unknown methods are answered with ok and recorded."""

    def __init__(self, apps, log):
        # By bot token: team, app and the bot's user. Other tokens are refused as Slack does.
        self.apps = apps
        self.calls = []
        self.unknown = []
        self.last_ts = 0
        super().__init__(log)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/api/"

    def next_ts(self):
        with self.changed:
            self.last_ts = max(time.time_ns() // 1000, self.last_ts + 1)
            return f"{self.last_ts // 1_000_000}.{self.last_ts % 1_000_000:06}"

    def answer(self, request, body):
        method = urlsplit(request.path).path.removeprefix("/api/")
        arguments = dict(parse_qsl(urlsplit(request.path).query))
        if request.headers.get("content-type", "").startswith("application/json"):
            arguments.update(json.loads(body or b"{}"))
        else:
            arguments.update(parse_qsl(body.decode("utf-8", "replace")))
        token = request.headers.get("authorization", "").removeprefix("Bearer ") or arguments.pop("token", "")
        app = self.apps.get(token)
        answer = {"ok": False, "error": "invalid_auth"} if app is None else self.result(method, arguments, app)
        call = {"at": time.monotonic(), "method": method, "token": token, "arguments": arguments, "ok": answer["ok"]}
        self.note(self.calls, call)
        self.send_json(request, answer)

    def result(self, method, arguments, app):
        team, app_id, user = app
        channel = arguments.get("channel", "")
        match method:
            case "auth.test":
                names = {"url": "https://team.example/", "team": "A team", "user": "bot"}
                ids = {"team_id": team, "user_id": user, "bot_id": user.replace("U", "B", 1), "app_id": app_id}
                return {"ok": True, **names, **ids}
            case "bots.info":
                bot = arguments.get("bot")
                return {"ok": True, "bot": {"id": bot, "app_id": app_id, "user_id": user, "name": "bot"}}
            case "users.info":
                name = {"real_name": "A person", "display_name": "person"}
                user = {"id": arguments.get("user"), "name": "person", "profile": name, "is_bot": False, **name}
                return {"ok": True, "user": user}
            case "conversations.info":
                kinds = {"is_im": "D", "is_mpim": "G", "is_channel": "C"}
                kinds = {name: channel.startswith(first) for name, first in kinds.items()}
                return {"ok": True, "channel": {"id": channel, "name": channel.lower(), "is_member": True, **kinds}}
            case "conversations.open":
                return {"ok": True, "channel": {"id": "D" + arguments.get("users", "U")[1:]}}
            case "conversations.history" | "conversations.replies":
                return {"ok": True, "messages": [], "has_more": False}
            case "users.conversations" | "conversations.list":
                return {"ok": True, "channels": [], "response_metadata": {"next_cursor": ""}}
            case "chat.postMessage":
                ts = self.next_ts()
                return {"ok": True, "channel": channel, "ts": ts, "message": {"ts": ts, "text": arguments.get("text")}}
            case "chat.startStream":
                return {"ok": True, "channel": channel, "ts": self.next_ts()}
            case "chat.update" | "chat.appendStream" | "chat.stopStream" | "chat.delete":
                return {"ok": True, "channel": channel, "ts": arguments.get("ts")}
            case "reactions.add" | "reactions.remove" | "assistant.threads.setStatus":
                return {"ok": True}
            case _:
                self.note(self.unknown, method)
                return {"ok": True}

    def posts(self, mark):
        """Messages posted with this mark in their text."""
        with self.changed:
            posts = [call for call in self.calls if call["method"] in ("chat.postMessage", "chat.update")]
        return [call for call in posts if call["ok"] and mark in str(call["arguments"].get("text"))]


class Feishu(StandIn):
    """Feishu's API, limited to OpenClaw's calls. Unknown paths get a success without data, and are recorded.

    The server is an HTTPS proxy, because the plugin refuses an account's `domain` that is not `https`. It terminates
    `CONNECT open.feishu.cn:443` itself, with a certificate of its own, and refuses every other host. The variables in
    `environment` route OpenClaw's HTTPS requests to it and make OpenClaw trust the certificate.

    Streaming replies bypass the proxy and fail. The plugin then sends the whole reply as one message.
    """

    HOST = "open.feishu.cn"

    def __init__(self, apps, folder):
        # App id to the app's secret and its bot's open_id. Unknown credentials are refused with Feishu's codes.
        self.apps = apps
        self.calls = []
        self.unknown = []
        self.hosts = []
        self.last_message = 0
        self.certificate = folder / "feishu.pem"
        key = folder / "feishu.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
            + ["-nodes", "-days", "2", "-subj", f"/CN={self.HOST}", "-addext", f"subjectAltName=DNS:{self.HOST}"]
            + ["-keyout", key, "-out", self.certificate],
            check=True,
            capture_output=True,
        )
        self.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.tls.load_cert_chain(self.certificate, key)
        super().__init__(folder / "feishu.txt")

    @property
    def environment(self):
        return {
            "HTTPS_PROXY": f"http://127.0.0.1:{self.port}",
            "NO_PROXY": "127.0.0.1,localhost",
            "NODE_EXTRA_CA_CERTS": str(self.certificate),
        }

    def connect(self, request):
        """Starts TLS on a tunnel to Feishu. The handler reads the following requests from the decrypted stream."""
        self.note(self.hosts, request.path)
        if request.path != f"{self.HOST}:443":
            request.close_connection = True
            return request.send_error(502)
        request.send_response(200)
        request.end_headers()
        request.connection = request.request = self.tls.wrap_socket(request.connection, server_side=True)
        request.setup()
        return None

    def answer(self, request, body):
        path = urlsplit(request.path).path.removeprefix("/open-apis/")
        arguments = {**dict(parse_qsl(urlsplit(request.path).query)), **json.loads(body or b"{}")}
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if path == "auth/v3/tenant_access_token/internal":
            app = arguments.get("app_id")
            is_known = app in self.apps and self.apps[app][0] == arguments.get("app_secret")
            answer = {"code": 0, "msg": "ok", "tenant_access_token": f"t-{app}", "expire": 7200}
            answer = answer if is_known else {"code": 10003, "msg": "invalid param"}
        elif token.removeprefix("t-") in self.apps:
            app = token.removeprefix("t-")
            answer = self.result(f"{request.command} {path}", app)
        else:
            app, answer = None, {"code": 99991663, "msg": "Invalid access token for authorization."}
        call = {"at": time.monotonic(), "method": request.command, "path": path, "app": app, "arguments": arguments}
        self.note(self.calls, {**call, "ok": answer["code"] == 0})
        self.send_json(request, answer)

    def result(self, call, app):
        kinds = [
            ("bot", r"GET bot/v3/info"),
            ("ping", r"POST bot/v1/openclaw_bot/ping"),
            ("user", r"GET contact/v3/users/[^/]+"),
            ("chat", r"GET im/v1/chats/[^/]+"),
            ("sent", r"POST im/v1/messages(/[^/]+/reply)?|(PUT|PATCH) im/v1/messages/[^/]+"),
            ("messages", r"GET im/v1/messages(/[^/]+)?"),
            ("reaction", r"POST im/v1/messages/[^/]+/reactions|DELETE im/v1/messages/[^/]+/reactions/[^/]+"),
        ]
        match next((kind for kind, pattern in kinds if re.fullmatch(pattern, call)), None):
            case "bot":
                bot = {"activate_status": 2, "app_name": "bot", "open_id": self.apps[app][1]}
                return {"code": 0, "msg": "ok", "bot": bot}
            case "user":
                data = {"user": {"name": "A person"}}
            case "chat":
                data = {"name": "A chat", "chat_mode": "p2p" if "/oc_direct" in call else "group"}
            case "sent":
                with self.changed:
                    self.last_message += 1
                    data = {"message_id": f"om_sent{self.last_message}"}
            case "messages":
                data = {"items": []}
            case "reaction":
                data = {"reaction_id": "a-reaction"}
            case "ping":
                data = {}
            case _:
                self.note(self.unknown, call)
                data = {}
        return {"code": 0, "msg": "success", "data": data}

    def posts(self, mark):
        """Messages sent to Feishu whose content has this mark."""
        sent = re.compile(r"im/v1/messages(/[^/]+/reply)?")
        with self.changed:
            posts = [call for call in self.calls if call["method"] == "POST" and sent.fullmatch(call["path"])]
        return [call for call in posts if call["ok"] and mark in str(call["arguments"].get("content"))]


class Discord(StandIn):
    """Discord's API and gateway, limited to OpenClaw's calls. Unknown paths get an empty object, and are recorded.

    OpenClaw reads the API's address from the environment variable `DISCORD_API_URL`, and the gateway's from the API.
    """

    # Channel types: https://discord.com/developers/docs/resources/channel
    TEXT, DIRECT, THREAD = 0, 1, 11
    # User id of the author of all messages to the bots.
    PERSON = "900000000000000001"

    def __init__(self, bots, log):
        # Bot token to the id of the bot's user, which is also its application's id. Unknown tokens get a 401.
        self.bots = bots
        # Channel id to type, guild and parent. Other channels get a 404.
        self.channels = {}
        self.calls = []
        self.unknown = []
        self.sessions = {}
        self.last_id = int(time.time() * 1000 - 1420070400000) << 22
        super().__init__(log)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/api/v10"

    def next_id(self):
        with self.changed:
            self.last_id += 1
            return str(self.last_id)

    def answer(self, request, body):
        path = unquote(urlsplit(request.path).path).removeprefix("/api/v10/")
        arguments = json.loads(body or b"{}")
        bot = self.bots.get(request.headers.get("authorization", "").removeprefix("Bot "))
        known = (401, {"message": "401: Unauthorized", "code": 0})
        status, answer = known if bot is None else self.result(request.command, path, arguments, bot)
        call = {"at": time.monotonic(), "method": request.command, "path": path, "bot": bot, "arguments": arguments}
        self.note(self.calls, {**call, "ok": status < 300})
        if status == 204:
            request.send_response(204)
            request.end_headers()
        else:
            self.send_json(request, answer, status)

    def result(self, method, path, arguments, bot):
        user = {"id": bot, "username": "bot", "discriminator": "0000", "bot": True}
        match [method, *path.split("/")]:
            case ["GET", "gateway", "bot"]:
                limit = {"total": 1000, "remaining": 1000, "reset_after": 0, "max_concurrency": 1}
                return 200, {"url": f"ws://127.0.0.1:{self.port}", "shards": 1, "session_start_limit": limit}
            case ["GET", "users", "@me"]:
                return 200, user
            case ["GET", "oauth2", "applications", "@me"] | ["GET", "applications", "@me"]:
                # Flags of a bot that Discord lets read members and message contents without a review.
                return 200, {"id": bot, "name": "bot", "flags": 1 << 15 | 1 << 19}
            case ["GET", "channels", channel] if channel in self.channels:
                return 200, self.channel(channel)
            case ["GET", "channels", channel, "messages"] if channel in self.channels:
                return 200, []
            case ["POST", "channels", channel, "messages"] if channel in self.channels:
                sent = {"id": self.next_id(), "channel_id": channel, "author": user}
                return 200, {**sent, "content": arguments.get("content", ""), "attachments": [], "embeds": []}
            case ["POST", "channels", _, "typing"] | ["PUT" | "DELETE", "channels", _, "messages", _, "reactions", *_]:
                return 204, None
            case [_, "applications", _, "commands", *_]:
                return 200, [] if method in ("GET", "PUT") else {"id": self.next_id()}
            case ["GET", "channels", _, *_]:
                return 404, {"message": "Unknown Channel", "code": 10003}
            case ["GET", "guilds", guild]:
                return 200, {"id": guild, "name": "A guild", "owner_id": self.PERSON, "roles": []}
            case _:
                self.note(self.unknown, f"{method} {path}")
                return 200, {}

    def channel(self, channel):
        kind, guild, parent = self.channels[channel]
        facts = {"id": channel, "type": kind, "name": f"channel-{channel}"}
        return {**facts, **({"guild_id": guild} if guild else {}), **({"parent_id": parent} if parent else {})}

    def upgrade(self, request):
        """Serves the gateway on a WebSocket until OpenClaw closes it."""
        key = request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        request.send_response(101)
        request.send_header("upgrade", "websocket")
        request.send_header("connection", "upgrade")
        request.send_header("sec-websocket-accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        request.end_headers()
        request.close_connection = True
        self.tell(request, {"op": 10, "d": {"heartbeat_interval": 41250}})
        while (text := self.read_frame(request)) is not None:
            message = json.loads(text)
            match message["op"]:
                case 1:
                    self.tell(request, {"op": 11})
                case 2:
                    bot = self.bots.get(message["d"]["token"].removeprefix("Bot "))
                    if bot is None:
                        # Close code 4004: authentication failed.
                        request.wfile.write(b"\x88\x02" + (4004).to_bytes(2, "big"))
                        return
                    user = {"id": bot, "username": "bot", "discriminator": "0000", "bot": True}
                    ready = {"v": 10, "user": user, "guilds": [], "session_id": "a-session", "application": {"id": bot}}
                    ready["resume_gateway_url"] = f"ws://127.0.0.1:{self.port}"
                    self.tell(request, {"op": 0, "s": 1, "t": "READY", "d": ready})
                    with self.changed:
                        self.sessions[bot] = request
                        self.changed.notify_all()
        with self.changed:
            self.sessions = {bot: session for bot, session in self.sessions.items() if session is not request}

    @staticmethod
    def read_frame(request):
        """Unmasked payload of the client's next frame; None at the end of the connection."""
        head = request.rfile.read(2)
        if len(head) < 2 or head[0] & 0x0F == 8:
            return None
        length = head[1] & 0x7F
        if length >= 126:
            length = int.from_bytes(request.rfile.read(2 if length == 126 else 8), "big")
        mask = request.rfile.read(4)
        return bytes(byte ^ mask[place % 4] for place, byte in enumerate(request.rfile.read(length)))

    def tell(self, request, message):
        payload = json.dumps(message).encode()
        length = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2, "big")
        with self.changed:
            request.wfile.write(b"\x81" + length + payload)

    def send(self, bot, channel, text):
        """Delivers a message to a connected bot. A message in a guild mentions the bot."""
        kind, guild, _ = self.channels[channel]
        user = {"id": bot, "username": "bot", "discriminator": "0000", "bot": True}
        message = {
            "id": self.next_id(), "channel_id": channel, "channel_type": kind, "type": 0, "content": text, "tts": False,
            "author": {"id": self.PERSON, "username": "person", "discriminator": "0000", "global_name": "A person"},
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()), "edited_timestamp": None,
            "mention_everyone": False, "mention_roles": [], "mentions": [], "attachments": [], "embeds": [],
            "pinned": False,
        }
        if guild:
            member = {"roles": [], "joined_at": "2026-01-01T00:00:00+00:00", "deaf": False, "mute": False}
            message |= {"guild_id": guild, "member": member, "mentions": [user], "content": f"<@{bot}> {text}"}
        sequence = int(message["id"]) & 0xFFFFFF
        self.tell(self.sessions[bot], {"op": 0, "s": sequence, "t": "MESSAGE_CREATE", "d": message})

    def posts(self, mark):
        """Messages sent to Discord whose content has this mark."""
        with self.changed:
            sent = [call for call in self.calls if re.fullmatch(r"channels/\d+/messages", call["path"])]
        posts = [call for call in sent if call["ok"] and call["method"] == "POST"]
        return [call for call in posts if mark in str(call["arguments"].get("content"))]


class Model(StandIn):
    """A fake model that answers a message by its marks."""

    def __init__(self, key, log):
        self.key = key
        self.requests = []
        self.goes_on = threading.Event()
        self.goes_on.set()
        super().__init__(log)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    def answer(self, request, body):
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return self.send_json(request, {"error": {"message": "a wrong key"}}, 401)
        if not request.path.endswith("/chat/completions"):
            return self.send_json(request, {"object": "list", "data": []})
        wanted = json.loads(body)
        # OpenClaw appends its own messages to the newest one and prepends the conversation's history.
        spoken = []
        for message in wanted["messages"]:
            spoken = [*spoken, message] if message["role"] == "user" else []
        marks = MARK.findall(json.dumps(spoken))
        text = "The answer to " + ", ".join(dict.fromkeys(marks)) + "." if marks else "Nothing was asked."
        self.note(self.requests, {"at": time.monotonic(), "marks": marks, "body": wanted})
        self.goes_on.wait()
        head = {"id": "completion", "created": int(time.time()), "model": wanted["model"]}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        if not wanted.get("stream"):
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            whole = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
            return self.send_json(request, whole)
        words = re.findall(r"\S+\s*", text)
        deltas = [{"role": "assistant", "content": ""}, *({"content": word} for word in words)]
        chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage})
        request.send_response(200)
        request.send_header("content-type", "text/event-stream")
        request.send_header("connection", "close")
        request.end_headers()
        request.close_connection = True
        for chunk in chunks:
            event = json.dumps({**head, "object": "chat.completion.chunk", **chunk})
            request.wfile.write(f"data: {event}\n\n".encode())
        request.wfile.write(b"data: [DONE]\n\n")
        return None

    @contextlib.contextmanager
    def held(self):
        """Holds back the model's answers inside the block."""
        self.goes_on.clear()
        try:
            yield
        finally:
            self.goes_on.set()

    def asked(self, mark):
        """Requests that contain this mark."""
        with self.changed:
            return [request for request in self.requests if mark in request["marks"]]
