"""The lean wire: DynamoDB's requests over HTTP, without boto3's generic machinery.

``core`` renders and reads, and does no I/O. ``blocking`` and ``awaiting`` carry bytes back and forth.
"""
