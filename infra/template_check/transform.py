"""SAM's own transform, on this machine."""

import logging
from pathlib import Path

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

# It warns of its own usage metrics, which go nowhere, once a transform.
logging.getLogger("samtranslator.metrics").setLevel(logging.ERROR)

SOURCE = Path(__file__).resolve().parent.parent / "template.yaml"


def source() -> dict:
    """The template as it is written, its short forms (`!Ref`) in their long form."""
    return yaml_parse(SOURCE.read_text(encoding="utf-8"))


def transformed(template: dict) -> dict:
    """What CloudFormation makes of `template`, which is changed on the way."""
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # `sam deploy` uploads the file and writes where it is; the transform takes nothing else.
            resource["Properties"]["CodeUri"] = "s3://bucket/bootstrap.zip"
    # No managed policy is known here, so a template that names one by its short name fails, as it should.
    return Translator({}, Parser()).translate(template, {})
