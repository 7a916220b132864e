"""The CDK app; ``scripts/cdk`` runs it."""

from __future__ import annotations

from aws_cdk import App, LegacyStackSynthesizer, Validations
from cdk_nag import AwsSolutionsChecks

from infrastructure.database_stack import DatabaseStack

STACK = "PackageDatabase"


def build() -> App:
    """Returns the app, which refuses to synthesize what the AWS Solutions checks of cdk-nag find fault with."""
    # The template is small and brings no files, so CloudFormation takes it from the command line with the operator's
    # own rights: this synthesizer needs nothing that `cdk bootstrap` would have to set up first.
    app = App(analytics_reporting=False)
    DatabaseStack(app, STACK, synthesizer=LegacyStackSynthesizer())
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    return app


if __name__ == "__main__":
    build().synth()
