"""Every class of input that a relay or client is attacked with, and the tests that show what becomes of it.

A class without a test, or a test that was renamed or lost, fails here. Money, games, extension workers and collisions
across nodes are not in the table, since what they are about does not exist yet.
"""

from __future__ import annotations

import ast
from functools import cache
from typing import Final

import pytest

from tests.house.tree import ROOT
from tests.support.bad_peers import CLASSES

HERE = "relay/test_input_classes"
TABLE: Final[dict[str, tuple[str, ...]]] = {
    "handshake smuggling": (
        f"{HERE}::test_handshake_smuggling_and_oversized_headers", "relay/test_listener::test_handshakes",
    ),
    "oversized headers": (
        f"{HERE}::test_handshake_smuggling_and_oversized_headers", "relay/test_listener::test_an_endless_head",
        "relay/admission/test_framewatch::test_a_head_has_a_bound",
    ),
    "lying lengths": (
        f"{HERE}::test_frames_with_lying_lengths",
        "relay/admission/test_framewatch::test_what_is_announced_is_judged_from_the_header",
        "relay/test_blobs::test_a_body_that_is_too_large",
    ),
    "endless fragments": (
        f"{HERE}::test_endless_fragments", "relay/test_listener::test_one_byte_fragments_are_bounded",
        "relay/admission/test_framewatch::test_fragments_add_up_and_are_counted",
    ),
    "bad utf-8": (f"{HERE}::test_bad_utf8", "protocol/test_codec::test_nothing_else_escapes"),
    "control-frame abuse": (
        f"{HERE}::test_control_frame_abuse", "relay/test_listener::test_bad_frames_end_with_the_right_code",
        "relay/test_listener::test_pings_without_reading_wait_instead_of_filling_memory",
    ),
    "compression bombs": (f"{HERE}::test_compression_bombs",),
    "msgpack bombs": (
        f"{HERE}::test_msgpack_bombs_wrong_types_duplicate_keys_nan_and_64_bit_edges",
        "protocol/test_codec::test_a_message_costs_no_more_than_a_few_copies_of_itself",
    ),
    "wrong types": (
        f"{HERE}::test_msgpack_bombs_wrong_types_duplicate_keys_nan_and_64_bit_edges",
        "protocol/test_codec::test_nothing_else_escapes", "relay/test_bad_input::test_bad_input_after_the_login",
    ),
    "duplicate keys": (
        f"{HERE}::test_msgpack_bombs_wrong_types_duplicate_keys_nan_and_64_bit_edges",
        "protocol/test_codec::test_no_content",
    ),
    "NaN and infinity": (
        f"{HERE}::test_msgpack_bombs_wrong_types_duplicate_keys_nan_and_64_bit_edges",
        "protocol/test_codec::test_no_content",
    ),
    "64-bit edges": (
        f"{HERE}::test_msgpack_bombs_wrong_types_duplicate_keys_nan_and_64_bit_edges",
        "protocol/test_codec::test_longer_forms_of_a_number_are_read_too",
    ),
    "slow readers": (
        "relay/test_connection::test_a_client_that_never_reads_is_bounded_and_slows_nobody",
        "relay/test_catchup::test_a_reader_that_is_stuck_gets_the_rest_when_it_reads",
        "relay/test_socket_peer::test_a_slow_reader_is_not_a_stalled_one",
        "relay/test_listener::test_a_reader_that_stalls_is_dropped",
    ),
    "slow writers": (
        f"{HERE}::test_slow_writers_are_ended", "relay/admission/test_framewatch::test_a_trickle_is_noticed",
        "relay/test_blobs::test_a_slow_request_ends_at_its_deadline",
    ),
    "half-open peers": (
        "relay/test_connection::test_silence_is_asked_and_then_ended",
        "relay/test_listener::test_a_peer_that_does_not_answer_a_close_is_dropped",
    ),
    "silence before the login": (
        "relay/test_connection::test_no_login_in_time", "relay/test_listener::test_a_handshake_has_a_deadline",
    ),
    "reconnect storms": (
        f"{HERE}::test_reconnect_storms", "relay/admission/test_rules::test_connections_come_at_a_rate",
        "relay/test_listener::test_connections_are_bounded",
    ),
    "auth replay": (f"{HERE}::test_auth_replay", "relay/test_connection::test_a_replayed_connect_is_worth_nothing"),
    "cross-protocol signatures": (
        f"{HERE}::test_cross_protocol_signatures", "relay/test_auth::test_a_signature_of_another_purpose_is_no_login",
        "protocol/test_identity::test_a_list_signature_is_no_login_and_a_login_no_list",
        "protocol/test_identity::test_no_domain_is_the_start_of_another_or_of_what_mls_signs",
    ),
    "small-order points": (
        f"{HERE}::test_small_order_points", "relay/test_auth::test_a_small_order_key_cannot_forge_for_everybody",
        "protocol/test_identity::test_bad_keys_are_refused_wherever_one_can_stand",
    ),
    "nonce reuse": (f"{HERE}::test_nonce_reuse",),
    "clock skew of a day": (f"{HERE}::test_clock_skew_of_a_day", f"{HERE}::test_clock_skew_beyond_a_day"),
    "id collisions across users and conversations": (f"{HERE}::test_id_collisions_across_users_and_conversations",),
    "enumeration of users": (
        f"{HERE}::test_enumeration_of_users_and_topics",
        "relay/test_auth::test_without_proof_the_answer_tells_nothing_about_the_account",
    ),
    "enumeration of topics": (f"{HERE}::test_enumeration_of_users_and_topics",),
    "enumeration of presence": (
        "relay/test_presence::test_strangers_who_hides_and_who_never_was_look_the_same",
        "relay/test_presence::test_a_large_conversation_acquaints_nobody",
    ),
    "timing of unknown and known users": (f"{HERE}::test_timing_of_unknown_and_known_users",),
    "SQL injection": (
        f"{HERE}::test_sql_log_path_and_label_injection", f"{HERE}::test_injection_through_what_an_operator_copies",
    ),
    "log injection": (
        f"{HERE}::test_sql_log_path_and_label_injection", "relay/test_log::test_no_text_breaks_a_line",
        "clients/cli/test_lines::test_others_can_neither_mark_up_nor_drive_the_terminal",
    ),
    "path injection": (
        f"{HERE}::test_sql_log_path_and_label_injection", "clients/test_filenames::test_any_name_is_one_plain_name",
        "relay/test_blobs::test_bad_requests_get_a_sentence_and_the_connection_goes_on",
    ),
    "label injection": (f"{HERE}::test_metrics_labels_come_from_closed_sets",),
    "unicode in handles": (f"{HERE}::test_unicode_in_names_and_logs",),
    "unicode in what is shown": (
        f"{HERE}::test_unicode_in_what_is_shown", "clients/test_filenames::test_names",
        "clients/cli/test_lines::test_others_can_neither_mark_up_nor_drive_the_terminal",
    ),
    "metric labels": (
        f"{HERE}::test_metrics_labels_come_from_closed_sets", "relay/admission/test_why::test_reasons_are_labels",
    ),
    "admin endpoints from the public listener": (
        f"{HERE}::test_admin_endpoints_from_the_public_listener",
        "relay/test_admin::test_the_public_listener_has_no_admin_and_the_ops_port_asks_for_the_token",
    ),
    "silent insecure flags": (
        "relay/test_config::test_insecure_settings_are_said", "relay/test_ops::test_readiness_says_why_not",
        "relay/test_doctor::test_insecure_settings_of_the_running_relay_are_said",
    ),
    "secrets in logs": (f"{HERE}::test_secrets_never_reach_logs",),
}  # fmt: skip


@cache
def _tests_of(name: str) -> frozenset[str]:
    tree = ast.parse((ROOT / "tests" / f"{name}.py").read_text(encoding="utf-8"))
    functions = (node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    return frozenset(found for found in functions if found.startswith("test_"))


@pytest.mark.parametrize("name", TABLE)
def test_every_class_of_input_has_its_tests(name: str) -> None:
    assert TABLE[name], "no test is named"
    for id_ in TABLE[name]:
        file, _, test = id_.partition("::")
        assert test in _tests_of(file), f"{name}: tests/{file}.py has no {test}"


def test_every_peer_that_misbehaves_is_run() -> None:
    """What ``bad_peers`` has by name is used by the tests here, or it would only be run by the operator's proof."""
    text = (ROOT / "tests" / f"{HERE}.py").read_text(encoding="utf-8")
    assert [name for name in CLASSES if f'"{name}"' not in text] == []
