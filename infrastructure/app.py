"""The CDK app; ``scripts/cdk`` runs it."""

from __future__ import annotations

from aws_cdk import App, LegacyStackSynthesizer, Validations
from cdk_nag import AwsSolutionsChecks

from infrastructure.database_stack import DatabaseStack

STACK = "PackageDatabase"


def build() -> App:
    """Returns the app, whose synthesis fails if the AWS Solutions checks of cdk-nag fail."""
    # The template is small and has no assets, so `cdk bootstrap` is not needed: with this synthesizer the command line
    # of the CDK sends it to CloudFormation with the operator's permissions.
    app = App(analytics_reporting=False)
    DatabaseStack(app, STACK, synthesizer=LegacyStackSynthesizer())
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    return app


if __name__ == "__main__":
    build().synth()
