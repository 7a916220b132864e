"""The AWS CDK app that deploys the tables, the policies to use them, and the alarms; ``docs/operating.md`` leads."""
