"""Identifiers are derived from one another, and the platform accepts them."""

from datetime import UTC, datetime, timedelta

import pytest

from turnlog.domain.ids import (
    SessionId,
    TurnId,
    base32,
    bound_id,
    call_id,
    instance_of,
    is_public_id,
    new_message_id,
    new_session_id,
    new_ulid,
    new_writer_id,
    owner_hash,
    public_id,
    session_of,
    turn_of,
)

THEN = datetime(2026, 11, 1, 12, tzinfo=UTC)


def test_ulids_sort_by_the_time_of_their_creation() -> None:
    ulids = [new_ulid(THEN + timedelta(milliseconds=step)) for step in (0, 1, 2, 1000, 10**9)]

    assert ulids == sorted(ulids)
    assert {len(ulid) for ulid in ulids} == {26}


def test_ulids_of_one_moment_differ() -> None:
    assert len({new_ulid(THEN) for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0" * 26), (31, "0" * 25 + "Z"), (32, "0" * 24 + "10"), (2**130 - 1, "Z" * 26)]
)
def test_base32_writes_the_lowest_130_bits_in_26_characters(number: int, text: str) -> None:
    assert base32(number) == text
    assert base32(number + 2**130) == text


@pytest.mark.parametrize("session", ["ses_1", "a.b:c-d_e", "x" * 128])
def test_a_message_id_leads_to_its_session_and_its_turn(session: str) -> None:
    message = new_message_id(SessionId(session), THEN)

    assert session_of(message) == session
    assert turn_of(message) == f"turn_{message[4:30]}"


@pytest.mark.parametrize(
    "text",
    ["", "msg_", "ses_1", f"msg_{'0' * 25}_ses_1", f"msg_{'0' * 26}", f"msg_{'0' * 26}_a/b", f"msg_{'0' * 26}_a\n"],
)
def test_another_text_leads_to_no_session(text: str) -> None:
    assert session_of(text) is None


@pytest.mark.parametrize("text", ["a", "ses_1", "...", "a.b", "A-Z_0:9", "x" * 128])
def test_session_ids_contain_characters_that_urls_keep(text: str) -> None:
    assert is_public_id(text)


@pytest.mark.parametrize("text", ["", ".", "..", "a/b", "a b", "a\n", "é", "a#b", "a?b", "a\\b", "x" * 129, "a\0"])
def test_a_text_that_urls_or_stores_would_change_is_no_session_id(text: str) -> None:
    assert not is_public_id(text)


def test_a_new_session_has_a_valid_id() -> None:
    assert is_public_id(public_id(new_session_id("owner", THEN)))


OWNERS = ["local", "", "a", "a|b|c", "é", "a" * 5000]


def test_two_owners_share_no_session_of_the_same_public_id() -> None:
    assert len({bound_id(owner, "demo") for owner in OWNERS}) == len(OWNERS)


@pytest.mark.parametrize("owner", OWNERS)
@pytest.mark.parametrize("session", ["demo", "ses_1", "...", "a~b", "~", "x" * 128])
def test_an_owner_finds_the_public_id_in_the_bound_one(owner: str, session: str) -> None:
    bound = bound_id(owner, session)

    assert public_id(bound) == session
    assert bound.startswith(f"{owner_hash(owner)}~")
    assert owner not in bound or owner in ("", "a", session)


def test_a_session_of_no_owner_has_only_its_public_id() -> None:
    assert public_id(SessionId("demo")) == "demo"


def test_no_public_id_is_a_bound_one() -> None:
    """So a caller cannot name another owner's session."""
    assert not is_public_id(bound_id("owner", "demo"))


def test_a_message_id_shows_nothing_of_the_owner() -> None:
    message = new_message_id(bound_id("owner", "demo"), THEN)

    assert session_of(message) == "demo"
    assert owner_hash("owner") not in message


def test_a_call_id_is_stable_and_short_enough_for_the_model() -> None:
    turn = turn_of(new_message_id(SessionId("ses_1"), THEN))
    ids = {call_id(turn, step, index) for step in (1, 50) for index in (0, 99)}

    assert len(ids) == 4
    assert max(map(len, ids)) <= 40
    assert call_id(turn, 1, 0) == call_id(turn, 1, 0)


def test_an_instance_has_the_turns_id_and_a_number_after_a_handover() -> None:
    turn = TurnId("turn_1")

    assert [instance_of(turn, generation) for generation in (1, 2, 3)] == ["turn_1", "turn_1~2", "turn_1~3"]


def test_writer_ids_differ() -> None:
    assert len({new_writer_id() for _ in range(100)}) == 100
