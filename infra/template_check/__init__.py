"""What infra/template.yaml must hold, checked on what CloudFormation would get."""
