"""The tables, and the access patterns over them."""

from __future__ import annotations

from typing import Any

from . import credentials, specs, users
from .access_pattern import AccessPattern

ACCESS_PATTERNS: tuple[AccessPattern[..., Any], ...] = (
    specs.count_customer_models,
    specs.create_update_spec,
    specs.update_spec,
    specs.get_latest_spec_version,
    specs.list_specs,
    specs.iter_specs,
    specs.get_spec,
    specs.get_spec_snapshot,
    specs.iter_spec_snapshots,
    specs.delete_spec,
    specs.list_spec_versions,
    specs.delete_all_specs,
    credentials.list_credentials,
    credentials.create_update_credentials,
    credentials.get_credentials,
    credentials.get_user,
    credentials.delete_credentials,
    credentials.delete_all_credentials,
    users.delete_all,
)
