"""The sender of webhooks: it calls the address that it checked, and knows a receiver by its certificate."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.http.projects.receiver import Receiver, running_receiver
from turnlog.domain.errors import WebhookTimeoutError, WebhookUnreachableError
from turnlog.domain.webhooks import Address
from turnlog.ports import WebhookRequest
from turnlog.webhooks import HttpWebhookSender, resolve

pytestmark = pytest.mark.anyio


def _leading_to(*lookups: Sequence[str]) -> tuple[list[str], Callable[..., object]]:
    """A lookup that gives other addresses each time, and the names that were looked up."""
    names, answers = list[str](), list(lookups)

    async def look_up(host: str, _: int) -> Sequence[Address]:
        names.append(host)
        return [ip_address(text) for text in (answers.pop(0) if len(answers) > 1 else answers[0])]

    return names, look_up


def _sender(look_up: object = resolve, *, seconds: float = 30) -> HttpWebhookSender:
    return HttpWebhookSender(allows_loopback=True, timeout=seconds, resolve=look_up)  # pyright: ignore[reportArgumentType]


def _request(url: str) -> WebhookRequest:
    return WebhookRequest(url, {"webhook-id": "msg_1"}, b"{}")


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    async with running_receiver() as receiver:
        names, look_up = _leading_to(["127.0.0.1"], ["10.0.0.1"])
        port = receiver.url.split(":")[2]

        status = await _sender(look_up).send(_request(f"http://rebinding.test:{port}"))

    assert (status, names) == (200, ["rebinding.test"])
    assert receiver.received[0].headers["host"] == f"rebinding.test:{port.split('/')[0]}"


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:169.254.169.254"], []])
async def test_a_name_with_an_address_that_is_not_public_is_not_called(addresses: Sequence[str]) -> None:
    _, look_up = _leading_to(addresses)

    with pytest.raises(WebhookUnreachableError, match="not public"):
        await _sender(look_up).send(_request("https://private.test/"))


async def test_this_machine_is_not_called_where_sign_in_is_required() -> None:
    async with running_receiver() as receiver:
        with pytest.raises(WebhookUnreachableError, match="not public"):
            await HttpWebhookSender().send(_request(receiver.url))

    assert receiver.received == []


async def test_a_receiver_without_an_answer_is_given_up() -> None:
    async with running_receiver("hang") as receiver:
        with pytest.raises(WebhookTimeoutError):
            await _sender(seconds=0.3).send(_request(receiver.url))


async def test_an_answer_that_is_no_http_and_a_closed_port_are_failures_without_the_url() -> None:
    async with running_receiver("what?") as receiver:
        receiver.answers = ["\r\nnot http at all"]
        with pytest.raises(WebhookUnreachableError) as failure:
            await _sender().send(_request(f"{receiver.url}?key=hidden"))
    with pytest.raises(WebhookUnreachableError) as refused:
        await _sender().send(_request(f"{receiver.url}?key=hidden"))

    assert "hidden" not in f"{failure.value}{refused.value}{_request('https://a.test/?key=hidden')!r}"


@asynccontextmanager
async def _tls_receiver(folder: Path, name: str) -> AsyncGenerator[tuple[Receiver, ssl.SSLContext]]:
    """A receiver with a certificate for `name`, and the context of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "server.pem").write_bytes(private + certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=context)
    receiver.url = f"https://{{name}}:{server.sockets[0].getsockname()[1]}/hooks"
    yield receiver, ssl.create_default_context(cadata=certificate.decode())
    server.close()


async def test_the_certificate_has_to_be_that_of_the_name(tmp_path: Path) -> None:
    _, look_up = _leading_to(["127.0.0.1"])
    async with _tls_receiver(tmp_path, "hooks.test") as (receiver, trusting):
        sender = _sender(look_up)
        sender._tls = trusting  # pyright: ignore[reportPrivateUsage]  # no authority signs test names

        status = await sender.send(_request(receiver.url.format(name="hooks.test")))
        with pytest.raises(WebhookUnreachableError):
            await sender.send(_request(receiver.url.format(name="other.test")))
        with pytest.raises(WebhookUnreachableError):
            await _sender(look_up).send(_request(receiver.url.format(name="hooks.test")))

    assert status == 200
    assert len(receiver.received) == 1
