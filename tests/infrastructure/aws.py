"""The module that ``dynamodb_server.run`` runs: a server with all services of moto, which enforces IAM policies."""

from __future__ import annotations

import sys

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from open_alchemy.package_database.testing.dynamodb_server import serve
from tests.infrastructure.policy_enforcement import enforce

if __name__ == "__main__":
    serve(int(sys.argv[1]), enforce(DomainDispatcherApplication(create_backend_app)))
