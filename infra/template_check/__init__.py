"""Checks of infra/template.yaml, made on the template that CloudFormation would get."""
