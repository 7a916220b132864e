"""For each removed rule, the plan and the seed of a history with a stale read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WITNESSES: Final[Mapping[str, tuple[str, int]]] = {
    "no_join_wait": ("any, drift 2", 9),
    "no_wait_for_the_evicted": ("any", 31),
    "removed_before_dead": ("any", 47),
    "sessions_survive_eviction": ("evict", 1),
    "lease_from_answer": ("evict", 39),
    "messages_of_old_sessions": ("join", 18),
    "spoil_unchecked": ("any", 1),
    "member_from_answer": ("join", 48),
    "join_wait_without_drift": ("any, drift 2", 58),
    "same_id_after_restart": ("any", 56),
    "eviction_removes": ("any", 34),
    "out_ignored": ("any", 2),
    "eviction_answers_pending": ("any", 40),
    "lease_without_membership": ("any, drift 2", 58),
    "lease_beyond_membership": ("any", 128),
    "lease_without_drift": ("join, drift 2", 45),
    "cache_survives_session": ("any", 18),
    "ended_session_forgotten": ("slow messages", 13),
    "note_after_store_read": ("any", 9),
    "hold_checked_at_answer": ("any", 2),
    "no_hold": ("any", 0),
    "unanswered_revocations_forgotten": ("any", 3),
    "any_id_answers": ("any", 56),
    "first_tag_only": ("any", 0),
    "no_round_before": ("any", 0),
    "hold_without_drift": ("slow store", 22),
    "own_sessions_skipped": ("any", 0),
    "age_from_answer": ("any, drift 2", 1),
    "answer_without_clients": ("any", 2),
    "done_lifts_all": ("any", 0),
    "revocation_drops_nothing": ("any", 0),
    "no_check_after": ("any", 303),
    "hold_age_unchecked": ("join", 186),
    "done_when_retried": ("any", 90),
    "no_max_age": ("any", 0),
    "notes_forgotten_early": ("any", 0),
}
