"""Webhooks: which addresses may be called, and the ids of deliveries."""

from datetime import UTC, datetime
from ipaddress import ip_address

import pytest

from turnlog.domain.ids import ProjectId, SessionId, TurnId
from turnlog.domain.webhooks import Announcement, Delivery, is_public, is_secret, new_webhook, url_problem

PRIVATE = [
    *("10.1.2.3", "172.16.0.1", "192.168.1.1", "127.0.0.1", "0.0.0.0", "169.254.169.254", "100.64.0.1", "224.0.0.1"),
    *(
        "255.255.255.255",
        "168.63.129.16",
        "192.0.2.1",
        "198.18.0.1",
        "::",
        "::1",
        "fe80::1",
        "fd00:ec2::254",
        "ff02::1",
    ),
    *("::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1"),
    *("2002:a00:1::", "2002:7f00:1::", "::10.0.0.1", "2001:0:a00:1::1", "fec0::1", "2001:db8::1"),
]
PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("text", PRIVATE)
def test_an_address_that_is_not_public_may_not_be_called(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_may_be_called(text: str) -> None:
    assert is_public(ip_address(text))


def test_this_machine_is_allowed_only_where_the_settings_say_so() -> None:
    for url in ("http://127.0.0.1:8000/", "http://localhost/hook", "https://[::1]/"):
        assert url_problem(url, allows_loopback=True) is None
        assert url_problem(url, allows_loopback=False)
    assert url_problem("http://10.0.0.1/", allows_loopback=True)
    assert url_problem("https://example.com:8443/hook?key=1", allows_loopback=False) is None


def test_the_id_of_a_delivery_is_that_of_its_event_and_webhook() -> None:
    first, second = (new_webhook("https://example.com/", ["run.complete"], None, datetime.now(UTC)) for _ in range(2))
    event = Announcement("run.complete", TurnId("turn_1"))

    def delivery(webhook: int, announced: Announcement) -> str:
        return Delivery.of(ProjectId("prj_a"), (first, second)[webhook], SessionId("o~s"), announced).id

    assert delivery(0, event) == delivery(0, Announcement("run.complete", TurnId("turn_1")))
    others = [Announcement("run.complete", TurnId("turn_2")), Announcement("requires_action", TurnId("turn_1"))]
    ids = {delivery(0, event), delivery(1, event), *(delivery(0, other) for other in others)}
    assert len(ids) == 4


def test_a_made_secret_is_valid_and_does_not_show() -> None:
    webhook = new_webhook("https://example.com/", ["run.complete"], None, datetime.now(UTC))

    assert is_secret(webhook.secret)
    assert webhook.secret not in repr(webhook)
