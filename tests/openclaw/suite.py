"""End-to-end suite: Slack's events through the control plane into the real OpenClaw, and its answers back to Slack.

Started by tests/openclaw/run. The tests run in order on one pool and depend on each other.
"""

import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from datetime import datetime
from pathlib import Path

from pool import Channel, DiscordChannel, FeishuChannel, Pool, Stack, eventually
from stand_ins import Discord, Feishu, Model, Slack

MODEL = "a-model"
CHILD_USER = "openclaw-under-test"


def mark():
    return "mark-" + secrets.token_hex(6)


def child_user():
    """User that OpenClaw runs as: as root a separate one, created if missing; None for the current user."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(CHILD_USER)
    except KeyError:
        home = ["--create-home", "--home-dir", f"/var/lib/{CHILD_USER}"]
        subprocess.run(["useradd", "--system", *home, "--shell", "/usr/sbin/nologin", CHILD_USER], check=True)
    return CHILD_USER


class Story(unittest.TestCase):
    """The started stack and pool, and a person who writes in Slack."""

    @classmethod
    def setUpClass(cls):
        stack, sidecar, openclaw, node, *cls.plugins = (Path(path) for path in FILES)
        cls.scratch = Path(tempfile.mkdtemp(prefix="portcullis-openclaw-", dir="/var/tmp"))
        cls.addClassCleanup(cls.clean_up)
        # OpenClaw's user must traverse it to reach its own folders.
        cls.scratch.chmod(0o755)
        user = child_user()
        openclaw, node = reachable(user, openclaw, node, cls.scratch)
        cls.tokens = [f"not-a-real-token-{secrets.token_hex(8)}" for _ in range(2)]
        cls.slack = Slack({}, cls.scratch / "slack.txt")
        cls.addClassCleanup(cls.slack.end)
        cls.model = Model(secrets.token_hex(16), cls.scratch / "model.txt")
        cls.addClassCleanup(cls.model.end)
        settings = {"SLACK_API_URL": cls.slack.url, "LITELLM_BASE_URL": cls.model.url, "LITELLM_API_KEY": cls.model.key}
        cls.stack = Stack(stack, settings, cls.scratch / "stack.txt")
        cls.addClassCleanup(cls.stack.end)
        feishu, discord = FeishuChannel(cls.stack, 1, "bot-1"), DiscordChannel(cls.stack, 1, "bot-1")
        cls.other_channels = feishu, discord
        cls.feishu = Feishu({feishu.app: (feishu.app_secret, feishu.bot)}, cls.scratch)
        cls.addClassCleanup(cls.feishu.end)
        cls.discord = Discord({discord.token: discord.bot}, cls.scratch / "discord.txt")
        cls.addClassCleanup(cls.discord.end)
        urls = {"SLACK_API_URL": cls.slack.url, "DISCORD_API_URL": cls.discord.url, **cls.feishu.environment}
        cls.pool = Pool(cls.stack, "pool-1", cls.scratch, openclaw, node, sidecar, urls, user)
        cls.addClassCleanup(cls.pool.end)
        cls.pool.register()
        cls.stack.order("bot", bot="bot-1", pool="pool-1", model=MODEL)
        cls.channel = Channel(cls.stack, 1, "bot-1")
        for token in cls.tokens:
            cls.slack.apps[token] = (cls.channel.team, cls.channel.app, cls.channel.bot_user)
        cls.channel.connect(cls.tokens[0])
        feishu.connect()
        discord.connect()
        cls.expected = []

    @classmethod
    def clean_up(cls):
        print("\n" + "\n".join(FIGURES))
        if FAILED:
            print(f"logs: {cls.scratch}")
        else:
            shutil.rmtree(cls.scratch)

    def ask(self, place, *, kind, thread=None, person="U0PERSON", mentions=True):
        """Sends a message as Slack does: a message that mentions a bot in a channel comes as two events of different
        types.
        """
        wanted, ts = mark(), self.slack.next_ts()
        mention = f"<@{self.channel.bot_user}> " if mentions else ""
        message = {"user": person, "text": f"{mention}What about {wanted}?", "ts": ts, "channel": place}
        if thread:
            message["thread_ts"] = thread
        began = time.monotonic()
        if kind == "channel":
            self.channel.send({"type": "app_mention", **message})
        took = self.channel.send({"type": "message", "channel_type": kind, **message})
        question = {"mark": wanted, "place": place, "thread": thread, "ts": ts, "at": began, "took": took}
        self.expected.append(question)
        return question

    def answer(self, question):
        """Waits for the answer and checks where it was posted. Returns the time it took, in seconds."""
        posts = self.slack.wait_for(lambda: self.slack.posts(question["mark"]), 300)
        self.assertTrue(posts, f"no answer in {question['place']}; methods that Slack was asked: "
                        f"{sorted({call['method'] for call in self.slack.calls})}")
        arguments = posts[0]["arguments"]
        self.assertEqual(arguments["channel"], question["place"])
        self.assertEqual(arguments.get("thread_ts"), question["thread"])
        self.assertIn(f"The answer to {question['mark']}.", arguments["text"])
        self.assertEqual(posts[0]["token"], self.tokens[0])
        return posts[0]["at"] - question["at"]

    def the_same_openclaw(self):
        """Process id of OpenClaw, which must stay the same."""
        pid = self.pool.openclaw()
        self.assertTrue(self.pool.is_running(pid))
        return pid


class TheWholeWay(Story):
    def test_the_sidecar_installs_the_plugin(self):
        self.pool.prepare(*self.plugins)
        self.assertTrue(self.pool.told("the pool is prepared"))

    def test_a_configuration_that_openclaw_refuses_is_told(self):
        # A model without a name, which makes OpenClaw refuse the configuration.
        self.stack.order("bot", bot="bot-2", pool="pool-1", model="")
        type(self).waiting = self.ask("C0GENERAL", kind="channel")
        self.pool.start()
        refusal = eventually("the refusal is told", lambda: self.pool.told("OpenClaw refuses its configuration"))
        self.assertEqual(refusal[-1]["level"], "WARN")
        eventually("the pool is unhealthy", lambda: self.pool_status()["status"] == "unhealthy", 60)

    def test_a_mention_that_waited_for_a_valid_configuration_is_answered(self):
        self.stack.order("pauseBot", bot="bot-2")
        self.answer(self.waiting)
        eventually("the pool is active", lambda: self.pool_status()["status"] == "active", 60)
        self.assertEqual(self.pool_status()["openclawVersion"], VERSION)
        started = instant(self.pool.told("started OpenClaw")[-1])
        delivered = [instant(line) for line in self.stack.lines() if line["message"] == "delivered"]
        figure("start of OpenClaw to the first delivery that it took", delivered[0] - started)
        ready = [instant(line) for line in self.pool.told("OpenClaw is ready")]
        if ready:
            figure("start of OpenClaw to its readiness", ready[0] - started)

    def test_a_mention_in_a_channel_is_answered_there(self):
        question = self.ask("C0GENERAL", kind="channel")
        figure("event to its 200", question["took"])
        figure("event to the answer in Slack", self.answer(question))

    def test_a_mention_in_a_thread_is_answered_in_the_thread(self):
        self.answer(self.ask("C0GENERAL", kind="channel", thread=self.slack.next_ts()))

    def test_a_direct_message_is_answered(self):
        self.answer(self.ask("D0PERSON", kind="im", mentions=False))

    def test_a_mention_in_a_group_message_is_answered(self):
        self.answer(self.ask("G0GROUP", kind="mpim"))

    def test_sessions_have_the_same_keys_on_both_sides(self):
        ours = set(self.stack.order("sessions")["keys"])
        theirs = {key for key in self.session_keys() if ":slack:" in key}
        self.assertEqual(ours, theirs)
        self.assertEqual(len(ours), 4, ours)

    def test_a_direct_message_in_feishu_is_answered(self):
        self.answers_in_feishu("oc_direct1", "p2p", "direct:ou_person1")

    def test_a_mention_in_a_feishu_group_is_answered(self):
        reply = self.answers_in_feishu("oc_group1", "group", "group:oc_group1", mentions=True)
        self.assertTrue(reply["path"].endswith("/reply"), reply)

    def test_a_mention_in_a_thread_of_a_feishu_group_is_answered_in_the_thread(self):
        thread = {"root": "om_root1", "thread": "omt_thread1"}
        reply = self.answers_in_feishu("oc_group2", "group", "group:oc_group2", mentions=True, **thread)
        self.assertTrue(reply["arguments"].get("reply_in_thread"), reply)

    def test_a_pressed_button_of_a_feishu_card_reaches_the_model(self):
        (channel, _), wanted = self.other_channels, mark()
        event = channel.press("oc_direct1", "om_card1", {"text": f"What about {wanted}?"}, person="ou_person1")
        channel.send("card.action.trigger", event)
        self.assertTrue(self.feishu.wait_for(lambda: self.feishu.posts(wanted), 120))
        self.assertTrue(self.model.asked(wanted))

    def test_a_feishu_event_that_another_key_signed_is_refused(self):
        (account,), (channel, _) = self.pool.accounts("feishu").values(), self.other_channels
        event = channel.message("oc_direct1", "p2p", "What?", person="ou_person1")
        self.assertEqual(channel.forge(account, "im.message.receive_v1", event), 401)

    def test_messages_in_discord_are_answered(self):
        _, channel = self.other_channels
        connected = self.discord.wait_for(lambda: channel.bot in self.discord.sessions, 120)
        self.assertTrue(connected, "OpenClaw has not connected to Discord's gateway")
        guild, text, thread, direct = (f"20000000000000000{number}" for number in range(4))
        self.discord.channels = {
            text: (Discord.TEXT, guild, None),
            thread: (Discord.THREAD, guild, text),
            direct: (Discord.DIRECT, None, None),
        }
        # A thread has its own session, keyed like a channel. Direct messages share a session per sender.
        keys = {text: f"channel:{text}", thread: f"channel:{thread}", direct: f"direct:{Discord.PERSON}"}
        for place, key in keys.items():
            wanted = mark()
            self.discord.send(channel.bot, place, f"What about {wanted}?")
            self.assertTrue(self.discord.wait_for(lambda: self.discord.posts(wanted), 120), f"no answer in {place}")
            self.assertEqual(self.discord.posts(wanted)[0]["path"], f"channels/{place}/messages")
            self.assertIn(f"agent:bot-1:discord:{key}", self.session_keys())

    def test_openclaw_opens_https_tunnels_to_feishu_alone(self):
        self.assertLessEqual(set(self.feishu.hosts), {f"{Feishu.HOST}:443"})

    def answers_in_feishu(self, chat, kind, key, **facts):
        """Sends a message in Feishu, checks its answer and its session's key, and returns the answer."""
        (channel, _), wanted = self.other_channels, mark()
        event = channel.message(chat, kind, f"What about {wanted}?", person="ou_person1", **facts)
        channel.send("im.message.receive_v1", event)
        posts = self.feishu.wait_for(lambda: self.feishu.posts(wanted), 120)
        self.assertTrue(posts, f"no answer in {chat}; paths that Feishu was asked: "
                        f"{sorted({call['path'] for call in self.feishu.calls})}")
        self.assertEqual(posts[0]["app"], channel.app)
        self.assertIn(posts[0]["path"], ("im/v1/messages", f"im/v1/messages/{event['message']['message_id']}/reply"))
        key = f"agent:bot-1:feishu:{key}"
        self.assertIn(key, self.session_keys())
        self.assertIn(key, self.stack.order("sessions")["keys"])
        return posts[0]

    def session_keys(self):
        """Keys of OpenClaw's sessions."""
        listed = json.loads(self.pool.run_openclaw("sessions", "--all-agents", "--json", "--limit", "all"))
        return {session["key"] for session in listed["sessions"]}

    def test_a_new_bot_token_arrives_without_a_restart(self):
        pid = self.the_same_openclaw()
        self.channel.connect(self.tokens[1])
        token = self.tokens[1]
        used = lambda: [call for call in self.slack.calls if call["token"] == token and call["method"] == "auth.test"]
        self.assertTrue(self.slack.wait_for(used, 120), "OpenClaw does not use the new bot token")
        self.tokens[0] = token
        self.answer(self.ask("C0GENERAL", kind="channel"))
        self.assertEqual(self.the_same_openclaw(), pid)

    def test_a_new_skill_arrives_without_a_restart(self):
        pid, word = self.the_same_openclaw(), mark().replace("mark", "word")
        content = f"---\nname: tides\ndescription: Tells the tides. {word}\n---\n\n# Tides\n"
        self.stack.internal("PUT", "/api/internal/skills/tides", {"content": content})
        eventually("the skill is on the disk", (self.pool.state / "skills/tides/SKILL.md").exists, 60)
        self.asks_model_with(word, "C0TIDES")
        self.assertEqual(self.the_same_openclaw(), pid)

    def test_a_new_template_arrives_without_a_restart(self):
        pid, word = self.the_same_openclaw(), mark().replace("mark", "word")
        self.put_template({"content": f"The word of the day is {word}.\n", "writeMode": "inject"})
        file = self.pool.state / "workspaces/bot-1/AGENTS.md"
        eventually("the template is on the disk", lambda: file.exists() and word in file.read_text(), 60)
        self.asks_model_with(word, "C0WORDS")
        self.assertEqual(self.the_same_openclaw(), pid)

    def put_template(self, template):
        """Stores a template of AGENTS.md, under the file's own name or the older name for it."""
        key = {"x-internal-token": self.stack.internal_token}
        for name in ("AGENTS.md", "agents"):
            status, answer = self.stack.request("PUT", f"/api/internal/workspace-templates/{name}", template, key)
            if status == 200:
                return
        self.fail(f"the template got {status}: {answer}")

    def asks_model_with(self, word, place):
        """Waits until a prompt contains the word. Each try is a new conversation, since OpenClaw notices the change
        only later.
        """
        for _ in range(5):
            question = self.ask(place, kind="channel", thread=self.slack.next_ts())
            self.answer(question)
            if any(word in json.dumps(request["body"]) for request in self.model.asked(question["mark"])):
                return
        self.fail(f"the model is not told of {word}")

    def test_a_killed_sidecar_loses_nothing_and_adopts_the_running_openclaw(self):
        pid = self.the_same_openclaw()
        self.pool.kill_sidecar()
        meanwhile = self.ask("C0KILLED", kind="channel")
        self.answer(meanwhile)
        self.pool.start()
        eventually("the sidecar adopts OpenClaw", lambda: self.pool.told("adopted the running OpenClaw"), 60)
        self.assertEqual(self.pool.told("adopted the running OpenClaw")[-1]["pid"], pid)
        self.answer(self.ask("C0KILLED", kind="channel"))
        self.assertEqual(self.the_same_openclaw(), pid)

    def test_a_killed_openclaw_loses_nothing(self):
        with self.model.held():
            taken = self.ask("C0TAKEN", kind="channel")
            self.assertTrue(self.model.wait_for(lambda: self.model.asked(taken["mark"]), 120))
            # Killed only once: after three bad exits in five minutes OpenClaw starts no channel for minutes, and the
            # refused configuration counts as one.
            killed = self.pool.kill_openclaw()
        questions = [self.ask("C0WAITING", kind="channel"), self.ask("D0WAITING", kind="im", person="U0WAITING")]
        began = time.monotonic()
        for question in questions:
            self.answer(question)
        figure("kill of OpenClaw to the answers of events that came meanwhile", time.monotonic() - began)
        self.answer(taken)
        self.assertNotEqual(self.pool.openclaw(), killed)

    def test_a_running_openclaw_goes_on_where_a_configuration_is_invalid(self):
        pid, written = self.the_same_openclaw(), len(self.pool.told("wrote a configuration"))
        self.stack.order("bot", bot="bot-3", pool="pool-1", model="")
        eventually("the configuration is written", lambda: len(self.pool.told("wrote a configuration")) > written, 60)
        eventually("OpenClaw passes it over", lambda: "config reload skipped" in self.pool.log.read_text(), 60)
        self.answer(self.ask("C0GENERAL", kind="channel"))
        self.assertEqual(self.the_same_openclaw(), pid)

    def pool_status(self):
        return self.stack.order("pool", pool="pool-1")

    def test_the_end_of_the_sidecar_is_the_end_of_openclaw(self):
        pid = self.the_same_openclaw()
        self.assertEqual(self.pool.stop(), 0)
        self.assertFalse(self.pool.is_running(pid))

    def test_each_message_was_answered_once(self):
        self.assertGreater(len(self.expected), 10)
        for question in self.expected:
            posted = [call for call in self.slack.posts(question["mark"]) if call["method"] == "chat.postMessage"]
            self.assertEqual(len(posted), 1, f"{question['place']}: {posted}")


def reachable(user, openclaw, node, scratch):
    """OpenClaw and its Node where OpenClaw's user can read them: in place, or else as a copy."""
    asked = ["runuser", "-u", user, "--", node, openclaw, "--version"]
    if not user or subprocess.run(asked, cwd="/", capture_output=True).returncode == 0:
        return openclaw, node
    modules, copy = openclaw.parent.parent, scratch / "node_modules"
    shutil.copytree(modules, copy, symlinks=True)
    subprocess.run(["chmod", "-R", "a+rX", copy], check=True)
    return copy / openclaw.relative_to(modules), copy / node.relative_to(modules)


def instant(line):
    """Time of a log line, in seconds."""
    return datetime.fromisoformat(line["timestamp"].replace("Z", "+00:00")).timestamp()


def figure(name, seconds):
    FIGURES.append(f"{name}: {seconds:.3f} s")


class Result(unittest.TextTestResult):
    def addError(self, test, error):
        FAILED.append(test)
        super().addError(test, error)

    def addFailure(self, test, error):
        FAILED.append(test)
        super().addFailure(test, error)


FAILED, FIGURES = [], []
VERSION, *FILES = sys.argv[1:8]

if __name__ == "__main__":
    # In source order: each test continues where the previous one ended.
    story = unittest.TestSuite(TheWholeWay(name) for name in vars(TheWholeWay) if name.startswith("test_"))
    # A signal fails the running test; the class then cleans up as after any other failure.
    for ending in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(ending, lambda number, _: sys.exit(128 + number))
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, failfast=True, resultclass=Result)
    outcome = runner.run(story)
    sys.stdout.flush()
    sys.exit(not outcome.wasSuccessful())
