"""The package's HTTP client for DynamoDB. boto3 sends the requests if a configuration needs what this client lacks.

Attempts are generators without I/O (``attempt``); ``sync_transport`` and ``async_transport`` perform their steps.
"""
