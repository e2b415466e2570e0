"""The template passes every rule, and every rule fails on a template broken on purpose."""

import unittest

from template_check import rules
from template_check.transform import source, transformed


def properties(template: dict, name: str) -> dict:
    return template["Resources"][name]["Properties"]


def statement(template: dict, role: str, sid: str) -> dict:
    found = properties(template, role)["Policies"][0]["PolicyDocument"]["Statement"]
    return next(each for each in found if each["Sid"] == sid)


def event(template: dict, function: str, name: str) -> dict:
    return properties(template, function)["Events"][name]["Properties"]


def allow(template: dict, **more) -> None:
    """Adds a statement to the skills function's role."""
    found = properties(template, "SkillsRole")["Policies"][0]["PolicyDocument"]["Statement"]
    found.append({"Sid": "More", "Effect": "Allow", "Action": "dynamodb:GetItem", **more})


BOTS = {"Fn::GetAtt": ["BotsTable", "Arn"]}

# Deliberate faults, each with its change and the expected violation; every sentence of every rule has at least one.
BREAKS = [
    (
        "an action is a wildcard",
        lambda t: allow(t, Action="dynamodb:*", Resource=BOTS),
        "SkillsRole: the action dynamodb:* is a wildcard",
    ),
    (
        "an action is half a wildcard",
        lambda t: allow(t, Action=["dynamodb:Get?tem"], Resource=BOTS),
        "dynamodb:Get?tem is a wildcard",
    ),
    (
        "a statement names what it does not allow",
        lambda t: allow(t, NotResource=BOTS),
        "SkillsRole: NotResource allows",
    ),
    (
        "a resource is a wildcard",
        lambda t: allow(t, Resource="*"),
        "SkillsRole: More allows its actions on a wildcard resource",
    ),
    (
        "a resource is half a wildcard",
        lambda t: allow(t, Resource={"Fn::Sub": "arn:aws:dynamodb:::table/${Stage}-*"}),
        "on a wildcard resource",
    ),
    (
        "an exception is not needed",
        lambda t: statement(t, "RelayRole", "LambdaMakesNetworkInterfaces").update(Resource=BOTS),
        "does not need it",
    ),
    (
        "everyone may use an endpoint",
        lambda t: properties(t, "SqsEndpoint")["PolicyDocument"]["Statement"][0].pop("Condition"),
        "SqsEndpoint: OnlyTheRelay lets everyone in",
    ),
    (
        "a policy is managed",
        lambda t: properties(t, "RelayRole").update(
            ManagedPolicyArns=["arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"]
        ),
        "RelayRole: a managed policy",
    ),
    (
        "a table has no recovery",
        lambda t: properties(t, "BotsTable").pop("PointInTimeRecoverySpecification"),
        "BotsTable: no point-in-time recovery",
    ),
    (
        "a table may be deleted",
        lambda t: properties(t, "BotsTable").update(DeletionProtectionEnabled=False),
        "BotsTable: no deletion protection",
    ),
    (
        "a table is not encrypted",
        lambda t: properties(t, "BotsTable").pop("SSESpecification"),
        "BotsTable: not encrypted",
    ),
    (
        "a table is provisioned",
        lambda t: properties(t, "BotsTable").update(BillingMode="PROVISIONED"),
        "BotsTable: not on demand",
    ),
    (
        "a table has a fixed name",
        lambda t: properties(t, "BotsTable").update(TableName="bots"),
        "BotsTable: its name has no prefix",
    ),
    (
        "a table's rows do not end",
        lambda t: properties(t, "EventLogTable").pop("TimeToLiveSpecification"),
        "EventLogTable: its time to live",
    ),
    (
        "a table's rows end that should not",
        lambda t: properties(t, "BotsTable").update(
            TimeToLiveSpecification={"AttributeName": "expiresAt", "Enabled": True}
        ),
        "BotsTable: its time to live",
    ),
    (
        "a table goes with the stack",
        lambda t: t["Resources"]["BotsTable"].pop("DeletionPolicy"),
        "BotsTable: DeletionPolicy is not Retain",
    ),
    (
        "a secret is replaced",
        lambda t: t["Resources"]["PoolSecretKeys"].pop("UpdateReplacePolicy"),
        "PoolSecretKeys: UpdateReplacePolicy is not Retain",
    ),
    (
        "a queue goes with the stack",
        lambda t: t["Resources"]["EventQueue"].update(DeletionPolicy="Delete"),
        "EventQueue: DeletionPolicy is not Retain",
    ),
    (
        "an index holds sessions' metadata",
        lambda t: properties(t, "ChatSessionsTable")["GlobalSecondaryIndexes"][0]["Projection"]["NonKeyAttributes"].append(
            "metadata"
        ),
        "ChatSessionsTable: index byBotAndTime holds metadata",
    ),
    (
        "an index holds all of an artifact",
        lambda t: properties(t, "ArtifactsTable")["GlobalSecondaryIndexes"][0].update(Projection={"ProjectionType": "ALL"}),
        "ArtifactsTable: index byBotAndTime holds metadata",
    ),
    (
        "a table blocks the deployment after one that failed",
        lambda t: t["Resources"]["BotsTable"].update(DeletionPolicy="Retain"),
        "BotsTable: DeletionPolicy is not RetainExceptOnCreate",
    ),
    (
        "tables are unprotected by default",
        lambda t: t["Parameters"]["ProtectTables"].update(Default="false"),
        "ProtectTables: tables are not protected",
    ),
    (
        "anybody in the account speaks as Slack",
        lambda t: t["Resources"].pop("EventQueuePolicy"),
        "EventQueue: its policy lets others send",
    ),
    (
        "the relay may queue an event",
        lambda t: properties(t, "EventQueuePolicy")["PolicyDocument"]["Statement"][0]["Condition"]["ArnNotEquals"][
            "aws:PrincipalArn"
        ].append({"Fn::GetAtt": ["RelayRole", "Arn"]}),
        "EventQueue: its policy lets others send",
    ),
    (
        "two functions share a role",
        lambda t: properties(t, "SkillsFunction").update(Role={"Fn::GetAtt": ["InternalRole", "Arn"]}),
        "shares InternalRole with",
    ),
    (
        "a role comes from elsewhere",
        lambda t: properties(t, "SkillsFunction").update(Role="arn:aws:iam::111122223333:role/admin"),
        "SkillsFunction: its role is not one of this template's",
    ),
    (
        "a log is kept for ever",
        lambda t: properties(t, "SlackLogs").pop("RetentionInDays"),
        "SlackLogs: is kept for ever",
    ),
    (
        "a function has Lambda's own log",
        lambda t: properties(t, "SlackFunction").pop("LoggingConfig"),
        "SlackFunction: its log group is not one",
    ),
    (
        "two functions share a log",
        lambda t: properties(t, "SlackFunction")["LoggingConfig"].update(LogGroup={"Ref": "RelayLogs"}),
        "shares RelayLogs with",
    ),
    (
        "a role writes to another's log",
        lambda t: statement(t, "SlackRole", "WriteOwnLog").update(Resource={"Fn::GetAtt": ["RelayLogs", "Arn"]}),
        "SlackRole: writes to another log than SlackLogs",
    ),
    (
        "a function is built for x86",
        lambda t: properties(t, "SlackFunction").update(Architectures=["x86_64"]),
        "SlackFunction: is not provided.al2023 on arm64",
    ),
    (
        "a route takes one method",
        lambda t: event(t, "SlackFunction", "Events").update(Method="POST"),
        "/api/slack/events is mounted for post",
    ),
    (
        "a route has the older payload",
        lambda t: event(t, "SlackFunction", "Events").update(PayloadFormatVersion="1.0"),
        "/api/slack/events does not have payload format 2.0",
    ),
    (
        "a route catches everything",
        lambda t: event(t, "SlackFunction", "Events").update(Path="/api/slack/{rest+}"),
        "/api/slack/{rest+} catches",
    ),
    (
        "the access log holds paths",
        lambda t: properties(t, "Api")["AccessLogSettings"].update(Format="$context.requestId $context.path"),
        "its access log holds $context.path",
    ),
    ("there is no access log", lambda t: properties(t, "Api").pop("AccessLogSettings"), "has no access log"),
    ("the API is not throttled", lambda t: properties(t, "Api").pop("DefaultRouteSettings"), "is not throttled"),
    (
        "a queue has one order for all",
        lambda t: properties(t, "EventQueue").update(DeduplicationScope="queue"),
        "EventQueue: is not a FIFO queue in high-throughput mode",
    ),
    (
        "a queue is not encrypted",
        lambda t: properties(t, "EventQueue").pop("SqsManagedSseEnabled"),
        "EventQueue: is not encrypted",
    ),
    (
        "a queue has no dead letters",
        lambda t: properties(t, "EventQueue").pop("RedrivePolicy"),
        "EventQueue: has no dead-letter queue",
    ),
    (
        "dead letters are lost early",
        lambda t: properties(t, "DeadLetterQueue").update(MessageRetentionPeriod=345600),
        "DeadLetterQueue: dead letters are not kept",
    ),
    (
        "the relay outlasts visibility",
        lambda t: properties(t, "RelayFunction").update(Timeout=31),
        "EventQueue: its visibility is less than six times",
    ),
    (
        "the relay takes two at once",
        lambda t: event(t, "RelayFunction", "Accepted").update(BatchSize=2),
        "takes more than one message",
    ),
    (
        "a retry is an error",
        lambda t: event(t, "RelayFunction", "Accepted").pop("FunctionResponseTypes"),
        "counts as an error",
    ),
    (
        "the relay has no limit",
        lambda t: event(t, "RelayFunction", "Accepted").pop("ScalingConfig"),
        "no limit on its concurrency",
    ),
    (
        "relay reads Slack's secret",
        lambda t: statement(t, "RelayRole", "ReadOwnSecrets").update(
            Resource=[{"Ref": "PoolSecretKeys"}, {"Ref": "SlackSecret"}]
        ),
        "SlackSecret: is read by ['RelayFunction', 'SlackFunction']",
    ),
    (
        "skills cannot read its token",
        lambda t: statement(t, "SkillsRole", "ReadOwnSecrets").update(
            Resource=[{"Ref": "PoolSecretKeys"}, {"Ref": "InternalTokenSecret"}]
        ),
        "SkillTokenSecret: is read by []",
    ),
    (
        "a secret stands in the template",
        lambda t: properties(t, "SlackSecret").update(SecretString="not-a-secret"),
        "SlackSecret: its value passes through",
    ),
    (
        "an alarm tells nobody",
        lambda t: properties(t, "DeadLettersAlarm").pop("AlarmActions"),
        "DeadLettersAlarm: tells nobody",
    ),
    (
        "the relay's endpoint holds an action back",
        lambda t: properties(t, "DynamoDbEndpoint")["PolicyDocument"]["Statement"][0]["Action"].remove(
            "dynamodb:BatchGetItem"
        ),
        "DynamoDbEndpoint: does not let dynamodb:BatchGetItem of BotsTable through",
    ),
    (
        "a function's errors are not watched",
        lambda t: t["Resources"].pop("SlackErrorsAlarm"),
        "SlackFunction: no alarm on Errors",
    ),
    (
        "the API's errors are not watched",
        lambda t: t["Resources"].pop("ApiErrorsAlarm"),
        "Api: no alarm on 5xx",
    ),
]


class Template(unittest.TestCase):
    def test_the_template_keeps_every_rule(self):
        self.assertEqual(rules.broken(transformed(source())), [])

    def test_each_defect_is_found_and_every_rule_has_been_seen_red(self):
        red = set()
        for what, break_it, sentence in BREAKS:
            with self.subTest(what):
                template = source()
                break_it(template)
                result = transformed(template)
                found = {rule.__name__: list(rule(result)) for rule in rules.RULES}
                red |= {rule for rule, findings in found.items() if any(sentence in each for each in findings)}
                self.assertIn(sentence, " | ".join(each for findings in found.values() for each in findings))
        self.assertEqual(red, {rule.__name__ for rule in rules.RULES})


if __name__ == "__main__":
    unittest.main()
