"""The AWS of moto, all services of it: CloudFormation, and what it makes. ``local_server.run`` runs it."""

from __future__ import annotations

import sys

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from open_alchemy.package_database.testing.local_server import serve

if __name__ == "__main__":
    serve(int(sys.argv[1]), DomainDispatcherApplication(create_backend_app))
