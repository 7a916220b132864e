"""The same application with Pyramid and with Flask: notes that are added, listed and logically deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import flask
import pyramid_tm
import transaction
from pyramid.config import Configurator
from pyramid.request import Request

from open_alchemy.package_database import instance_id
from open_alchemy.package_database.instances import InstanceMiddleware
from open_alchemy.package_database.sqlalchemy import get_session, get_table, use_transaction_manager

WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
