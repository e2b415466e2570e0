"""SAM's own transform, run locally."""

import logging
from pathlib import Path

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

# Each transform logs a warning about usage metrics, which are not sent.
logging.getLogger("samtranslator.metrics").setLevel(logging.ERROR)

SOURCE = Path(__file__).resolve().parent.parent / "template.yaml"


def source() -> dict:
    """The source template, with its short forms (`!Ref`) expanded."""
    return yaml_parse(SOURCE.read_text(encoding="utf-8"))


def transformed(template: dict) -> dict:
    """Transforms `template` as CloudFormation does, and changes it in the process."""
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # `sam deploy` uploads the file and inserts its location; the transform accepts only a location.
            resource["Properties"]["CodeUri"] = "s3://bucket/bootstrap.zip"
    # No managed policies are loaded, so a template that names one by its short name fails, as intended.
    return Translator({}, Parser()).translate(template, {})
