"""Our own rules. Each takes the transformed template and yields a sentence for each violation."""

import json
from collections.abc import Iterator

# Statements that may allow an action on every resource, each with its reason in the template.
ON_EVERY_RESOURCE = {("RelayRole", "LambdaMakesNetworkInterfaces")}

# Readers of each secret: each function reads only its own.
SECRET_READERS = {
    "SigningSecretKeys": {"InternalFunction", "SlackFunction", "V1Function"},
    "DeliverySecretKeys": {"InternalFunction", "RelayFunction", "V1Function"},
    "ConfigurationKeys": {"InternalFunction", "V1Function"},
    "PoolSecretKeys": {"InternalFunction", "SkillsFunction"},
    "RuntimeTokenKeys": {"InternalFunction"},
    "SkillTokenKeys": {"InternalFunction", "SkillsFunction"},
    "InternalTokenSecret": {"InternalFunction", "SkillsFunction"},
    "SkillTokenSecret": {"SkillsFunction"},
    "SlackSecret": {"SlackFunction"},
    "IntegrationKeys": {"SkillsFunction", "V1Function"},
    "ComposioSecret": {"SkillsFunction", "V1Function"},
    "SlackClientSecret": {"InternalFunction", "V1Function"},
    "LiteLlmSecret": {"InternalFunction", "V1Function"},
    "SessionSecret": {"AuthFunction", "V1Function"},
}

# Tables whose rows have a time to live.
ENDING_TABLES = {
    "AuthSessionsTable",
    "ChannelCredentialsTable",
    "ChatSessionsTable",
    "EventLogTable",
    "FeedbackTable",
    "OauthStatesTable",
    "SkillsTable",
    "ThrottlesTable",
    "VerificationsTable",
    "WorkspaceTemplatesTable",
}


def of_type(template: dict, kind: str) -> Iterator[tuple[str, dict, dict]]:
    """Logical id, resource and properties of each resource of a type."""
    for name, resource in template["Resources"].items():
        if resource["Type"] == kind:
            yield name, resource, resource.get("Properties", {})


def as_list(value) -> list:
    return value if isinstance(value, list) else [value]


def text(value) -> str:
    return json.dumps(value, sort_keys=True)


def statements(template: dict) -> Iterator[tuple[str, dict]]:
    """Every policy statement of the template, with the logical id of its resource."""

    def walk(node):
        if isinstance(node, dict):
            if "Effect" in node:
                yield node
            else:
                for child in node.values():
                    yield from walk(child)
        elif isinstance(node, list):
            for child in node:
                yield from walk(child)

    for name, resource in template["Resources"].items():
        for statement in walk(resource):
            yield name, statement


def names(value) -> set[str]:
    """Logical ids that a value refers to with Ref or GetAtt."""
    found = set()
    for part in as_list(value):
        if isinstance(part, dict):
            found |= {as_list(part[key])[0].split(".")[0] for key in ("Ref", "Fn::GetAtt") if key in part}
    return found


def no_action_is_a_wildcard(template: dict):
    for name, statement in statements(template):
        for key in ("NotAction", "NotResource", "NotPrincipal"):
            if key in statement:
                yield f"{name}: {key} allows whatever it does not name"
        for action in as_list(statement.get("Action", [])):
            if "*" in action or "?" in action:
                yield f"{name}: the action {action} is a wildcard"


def no_resource_is_a_wildcard(template: dict):
    used = set()
    for name, statement in statements(template):
        # A Deny on every resource grants nothing; a role's trust policy has no resource.
        if statement["Effect"] != "Allow" or "Resource" not in statement or "*" not in text(statement["Resource"]):
            continue
        if (name, statement.get("Sid")) in ON_EVERY_RESOURCE:
            used.add((name, statement.get("Sid")))
        else:
            yield f"{name}: {statement.get('Sid', 'a statement')} allows its actions on a wildcard resource"
    for name, sid in sorted(ON_EVERY_RESOURCE - used):
        yield f"{name}: {sid} is excepted from the rule on wildcard resources and does not need it"


def no_principal_is_everyone(template: dict):
    for name, statement in statements(template):
        everyone = statement["Effect"] == "Allow" and "*" in text(statement.get("Principal", ""))
        if everyone and "aws:PrincipalArn" not in text(statement.get("Condition", {})):
            yield f"{name}: {statement.get('Sid', 'a statement')} lets everyone in"


def granted(template: dict, resource: str, service: str) -> set[tuple[str, str]]:
    """Allowed actions of a service in a resource's own policies, each with a named resource."""
    return {
        (action, target)
        for name, statement in statements(template)
        if name == resource and statement["Effect"] == "Allow"
        for action in as_list(statement.get("Action", []))
        if action.startswith(f"{service}:")
        for target in names(statement.get("Resource", []))
    }


def the_relays_endpoint_lets_through_what_its_role_allows(template: dict):
    wanted = granted(template, "RelayRole", "dynamodb")
    for action, target in sorted(wanted - granted(template, "DynamoDbEndpoint", "dynamodb")):
        yield f"DynamoDbEndpoint: does not let {action} of {target} through, which RelayRole allows"


def no_policy_is_managed(template: dict):
    for name, _, role in of_type(template, "AWS::IAM::Role"):
        if role.get("ManagedPolicyArns"):
            yield f"{name}: a managed policy allows more than this role needs, and changes without us"


def tables_are_kept(template: dict):
    for name, table, properties in of_type(template, "AWS::DynamoDB::Table"):
        if properties.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled") is not True:
            yield f"{name}: no point-in-time recovery"
        # Off only for a stack's first deployment, because CloudFormation could not roll a protected table back.
        if properties.get("DeletionProtectionEnabled") != {"Ref": "ProtectTables"}:
            yield f"{name}: no deletion protection"
        if properties.get("SSESpecification", {}).get("SSEEnabled") is not True:
            yield f"{name}: not encrypted with a key in KMS"
        if properties.get("BillingMode") != "PAY_PER_REQUEST":
            yield f"{name}: not on demand"
        if "${TablePrefix}" not in text(properties.get("TableName")):
            yield f"{name}: its name has no prefix, so it cannot be restored beside itself"
        ending = properties.get("TimeToLiveSpecification", {})
        if (ending == {"AttributeName": "expiresAt", "Enabled": True}) != (name in ENDING_TABLES):
            yield f"{name}: its time to live is not what its rows need"


def what_cannot_be_made_again_outlives_the_stack(template: dict):
    for kind in ("AWS::DynamoDB::Table", "AWS::SecretsManager::Secret", "AWS::SQS::Queue"):
        for name, resource, _ in of_type(template, kind):
            for policy, wanted in (("DeletionPolicy", "RetainExceptOnCreate"), ("UpdateReplacePolicy", "Retain")):
                if resource.get(policy) != wanted:
                    yield f"{name}: {policy} is not {wanted}"
    if template["Parameters"].get("ProtectTables", {}).get("Default") != "true":
        yield "ProtectTables: tables are not protected where nobody says otherwise"


# Tables with metadata of up to 64 KiB per row, which an index would write once more with each change.
TABLES_WITH_METADATA = {"ChatSessionsTable", "ArtifactsTable"}


def no_index_holds_metadata(template: dict):
    for name, _, table in of_type(template, "AWS::DynamoDB::Table"):
        for index in table.get("GlobalSecondaryIndexes", []):
            projection = index["Projection"]
            holds_all = projection["ProjectionType"] == "ALL"
            if name in TABLES_WITH_METADATA and (holds_all or "metadata" in projection.get("NonKeyAttributes", [])):
                yield f"{name}: index {index['IndexName']} holds metadata, and a projection can't be changed in place"


# Allowed senders of each queue.
QUEUE_SENDERS = {"EventQueue": {"SlackRole", "RedriveRole"}, "DeadLetterQueue": {"RelayRole"}}


def queues_turn_strangers_away(template: dict):
    found = {}
    for name, _, policy in of_type(template, "AWS::SQS::QueuePolicy"):
        for statement in policy["PolicyDocument"]["Statement"]:
            denies = statement["Effect"] == "Deny" and statement.get("Principal") == "*"
            if denies and "sqs:SendMessage" in as_list(statement["Action"]):
                spared = names(statement.get("Condition", {}).get("ArnNotEquals", {}).get("aws:PrincipalArn", []))
                for queue in names(policy["Queues"]) & names(statement["Resource"]):
                    found[queue] = spared
    for name, _, _ in of_type(template, "AWS::SQS::Queue"):
        if found.get(name) != QUEUE_SENDERS.get(name, set()):
            yield f"{name}: its policy lets others send than {sorted(QUEUE_SENDERS.get(name, set()))}"


def each_function_has_its_own_role(template: dict):
    owners = {}
    roles = {name for name, _, _ in of_type(template, "AWS::IAM::Role")}
    for name, _, function in of_type(template, "AWS::Lambda::Function"):
        role = names(function.get("Role", {}))
        if not role or not role <= roles:
            yield f"{name}: its role is not one of this template's"
        for each in role:
            if each in owners:
                yield f"{name}: shares {each} with {owners[each]}"
            owners[each] = name


def each_function_has_its_own_log_with_an_end(template: dict):
    groups = {name: group for name, _, group in of_type(template, "AWS::Logs::LogGroup")}
    for name, group in groups.items():
        if "RetentionInDays" not in group:
            yield f"{name}: is kept for ever"
    owners = {}
    for name, _, function in of_type(template, "AWS::Lambda::Function"):
        log = names(function.get("LoggingConfig", {}).get("LogGroup", {}))
        if not log or not log <= set(groups):
            yield f"{name}: its log group is not one of this template's"
            continue
        (group,) = log
        if group in owners:
            yield f"{name}: shares {group} with {owners[group]}"
        owners[group] = name
        (role,) = names(function["Role"]) or {""}
        for owner, statement in statements(template):
            logs = owner == role and "logs:PutLogEvents" in as_list(statement.get("Action"))
            if logs and names(statement["Resource"]) != {group}:
                yield f"{role}: writes to another log than {group}"


def each_function_is_built_for_one_platform(template: dict):
    for name, _, function in of_type(template, "AWS::Lambda::Function"):
        if (function.get("Runtime"), function.get("Architectures")) != ("provided.al2023", ["arm64"]):
            yield f"{name}: is not provided.al2023 on arm64"


def each_route_takes_any_method(template: dict):
    for name, _, api in of_type(template, "AWS::ApiGatewayV2::Api"):
        for path, methods in api["Body"]["paths"].items():
            for method, operation in methods.items():
                if method != "x-amazon-apigateway-any-method":
                    yield f"{name}: {path} is mounted for {method}, so a wrong method is not our own 405"
                if operation["x-amazon-apigateway-integration"].get("payloadFormatVersion") != "2.0":
                    yield f"{name}: {path} does not have payload format 2.0"
            if "+}" in path:
                yield f"{name}: {path} catches what no function has a route for"


def the_access_log_holds_no_query(template: dict):
    for name, _, stage in of_type(template, "AWS::ApiGatewayV2::Stage"):
        line = stage.get("AccessLogSettings", {}).get("Format", "")
        if "$context.requestId" not in line:
            yield f"{name}: has no access log"
        for field in ("$context.path", "$context.rawPath", "querystring", "$context.authorizer", "$request"):
            if field in line:
                yield f"{name}: its access log holds {field}, in which callers put ids and tokens"
        if not {"ThrottlingRateLimit", "ThrottlingBurstLimit"} <= set(stage.get("DefaultRouteSettings", {})):
            yield f"{name}: is not throttled"


def queues_keep_order_and_messages(template: dict):
    queues = {name: queue for name, _, queue in of_type(template, "AWS::SQS::Queue")}
    dead = {
        name for queue in queues.values() for name in names(queue.get("RedrivePolicy", {}).get("deadLetterTargetArn"))
    }
    for name, queue in queues.items():
        mode = (queue.get("FifoQueue"), queue.get("DeduplicationScope"), queue.get("FifoThroughputLimit"))
        if mode != (True, "messageGroup", "perMessageGroupId"):
            yield f"{name}: is not a FIFO queue in high-throughput mode"
        if queue.get("SqsManagedSseEnabled") is not True:
            yield f"{name}: is not encrypted"
        if name not in dead and "RedrivePolicy" not in queue:
            yield f"{name}: has no dead-letter queue"
        if name in dead and queue.get("MessageRetentionPeriod") != 1209600:
            yield f"{name}: dead letters are not kept for 14 days"


def the_consumer_fits_its_queue(template: dict):
    for name, _, mapping in of_type(template, "AWS::Lambda::EventSourceMapping"):
        (queue,) = names(mapping["EventSourceArn"])
        (function,) = names(mapping["FunctionName"])
        visibility = template["Resources"][queue]["Properties"].get("VisibilityTimeout", 30)
        if visibility < 6 * template["Resources"][function]["Properties"].get("Timeout", 3):
            yield f"{queue}: its visibility is less than six times {function}'s time-out"
        if mapping.get("BatchSize") != 1:
            yield f"{name}: takes more than one message at a time"
        if mapping.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
            yield f"{name}: a message that is to be tried again counts as an error"
        if "MaximumConcurrency" not in mapping.get("ScalingConfig", {}):
            yield f"{name}: has no limit on its concurrency"


def each_secret_has_its_readers(template: dict):
    roles = {}
    for name, _, function in of_type(template, "AWS::Lambda::Function"):
        for role in names(function.get("Role", {})):
            roles.setdefault(role, set()).add(name)
    readers = {}
    for name, statement in statements(template):
        if "secretsmanager:GetSecretValue" in as_list(statement.get("Action")) and name in roles:
            for secret in names(statement["Resource"]):
                readers.setdefault(secret, set()).update(roles[name])
    for secret in sorted(SECRET_READERS.keys() | readers.keys()):
        if readers.get(secret, set()) != SECRET_READERS.get(secret, set()):
            yield f"{secret}: is read by {sorted(readers.get(secret, set()))}"


def no_secret_is_written_here(template: dict):
    for name, _, secret in of_type(template, "AWS::SecretsManager::Secret"):
        if "SecretString" in secret:
            yield f"{name}: its value passes through the template, and with it through shells and deployment logs"


def alarms_reach_someone(template: dict):
    watched = set()
    for name, _, alarm in of_type(template, "AWS::CloudWatch::Alarm"):
        if not names(alarm.get("AlarmActions", [])):
            yield f"{name}: tells nobody"
        for dimension in alarm.get("Dimensions", []):
            for target in names(dimension["Value"]):
                watched.add((target, alarm["MetricName"]))
    for name, _, _ in of_type(template, "AWS::Lambda::Function"):
        holds_keys = any(name in readers for secret, readers in SECRET_READERS.items() if secret.endswith("Keys"))
        for metric in ("Errors", "Throttles", *(["SealedValueUnopened"] if holds_keys else [])):
            if (name, metric) not in watched:
                yield f"{name}: no alarm on {metric}"
    for name, _, _ in of_type(template, "AWS::ApiGatewayV2::Api"):
        # A panic in a handler becomes an answer of 500, which Lambda does not count as an error.
        if (name, "5xx") not in watched:
            yield f"{name}: no alarm on 5xx"


RULES = [
    no_action_is_a_wildcard,
    no_resource_is_a_wildcard,
    no_principal_is_everyone,
    the_relays_endpoint_lets_through_what_its_role_allows,
    no_policy_is_managed,
    tables_are_kept,
    no_index_holds_metadata,
    what_cannot_be_made_again_outlives_the_stack,
    each_function_has_its_own_role,
    each_function_has_its_own_log_with_an_end,
    each_function_is_built_for_one_platform,
    each_route_takes_any_method,
    the_access_log_holds_no_query,
    queues_keep_order_and_messages,
    queues_turn_strangers_away,
    the_consumer_fits_its_queue,
    each_secret_has_its_readers,
    no_secret_is_written_here,
    alarms_reach_someone,
]


def broken(template: dict) -> list[str]:
    """All violations of all rules; empty for a valid template."""
    return [finding for rule in RULES for finding in rule(template)]
