"""Stand-ins for what OpenClaw calls: Slack's Web API and a model behind an OpenAI-compatible endpoint."""

import contextlib
import json
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

# The mark of a message that is to be answered. The model's answer repeats it, and so tells which message it is for.
MARK = re.compile(r"mark-[0-9a-f]{12}")


class StandIn:
    """An HTTP server on a free port of 127.0.0.1. It keeps what it was asked, in order."""

    def __init__(self, log):
        stand_in = self
        self.log = log.open("w")

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                stand_in.answer(self, b"")

            def do_POST(self):
                stand_in.answer(self, self.rfile.read(int(self.headers.get("content-length") or 0)))

            def log_message(self, *_):
                pass

        self.changed = threading.Condition()
        class Server(ThreadingHTTPServer):
            def handle_error(self, request, client_address):
                # Connections of a process that was killed.
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
        """Waits until the condition gives something; None where it does not come in time."""
        with self.changed:
            self.changed.wait_for(condition, seconds)
            return condition()

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
    """Slack's Web API, as far as OpenClaw calls it. Methods that it does not know are answered with ok, and kept."""

    def __init__(self, apps, log):
        # By bot token: team, app and the bot's user. A token that is not among them is refused as Slack does.
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
        """The messages that were posted with this mark in their text."""
        with self.changed:
            posts = [call for call in self.calls if call["method"] in ("chat.postMessage", "chat.update")]
        return [call for call in posts if call["ok"] and mark in str(call["arguments"].get("text"))]


class Model(StandIn):
    """A model that answers a message by its marks."""

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
        # OpenClaw adds messages of its own to the newest one, and sends the conversation before it along.
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
        """Keeps the model from answering."""
        self.goes_on.clear()
        try:
            yield
        finally:
            self.goes_on.set()

    def asked(self, mark):
        """The requests that are about this mark."""
        with self.changed:
            return [request for request in self.requests if mark in request["marks"]]
