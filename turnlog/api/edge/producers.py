"""How repeated requests of an outside producer are recognised: by an Idempotency-Key, or by its own numbers."""

import hashlib

from azurefunctions.extensions.http.fastapi import Request

from turnlog.api.edge.parameters import IDEMPOTENCY_KEY, MAX_SEQUENCE, Integer, Text
from turnlog.api.edge.requests import idempotency_key
from turnlog.domain.errors import (
    IdempotencyKeyReusedError,
    InvalidRequestError,
    ProducerFencedError,
    ProducerGapError,
    ProducerSeqReusedError,
)
from turnlog.domain.producers import ProducerRequest
from turnlog.services.log.idempotency import IdempotencyKey

_MAX_NAME_LENGTH = 256

PRODUCER_ID = Text(
    "producer-id",
    "the producer's name in this session; needs the two other headers",
    location="header",
    pattern=r"\S",
    max_length=_MAX_NAME_LENGTH,
)
PRODUCER_EPOCH = Integer(
    "producer-epoch",
    "one more with each restart of the producer; requests of an older epoch are refused",
    location="header",
    default=0,
    maximum=MAX_SEQUENCE,
    is_default_shown=False,
)
PRODUCER_SEQ = Integer(
    "producer-seq",
    "the number of the request in its epoch, from 0; a repeat returns the sequences of the first time",
    location="header",
    default=0,
    maximum=MAX_SEQUENCE,
    is_default_shown=False,
)
_TOGETHER = (PRODUCER_ID, PRODUCER_EPOCH, PRODUCER_SEQ)
ONCE_HEADERS = (IDEMPOTENCY_KEY, *_TOGETHER)
ONCE_ERRORS = (IdempotencyKeyReusedError, ProducerSeqReusedError, ProducerGapError, ProducerFencedError)


def once_key(req: Request, body: bytes) -> IdempotencyKey | ProducerRequest | None:
    """What identifies repeats of the request: its Idempotency-Key or its producer's numbers; None without either.

    Raises:
        InvalidRequestError: both are sent, or only some of a producer's headers, or one is not valid.
    """
    sent = [each.name for each in _TOGETHER if each.name in req.headers]
    if not sent:
        return idempotency_key(req, body)
    if len(sent) < len(_TOGETHER):
        missing = ", ".join(each.name for each in _TOGETHER if each.name not in sent)
        raise InvalidRequestError(f"Send Producer-Id, Producer-Epoch and Producer-Seq together: {missing} is missing.")
    if IDEMPOTENCY_KEY.name in req.headers:
        raise InvalidRequestError("Send either the Producer headers or Idempotency-Key, not both.")
    name = req.headers[PRODUCER_ID.name]
    if not name.strip() or len(name) > _MAX_NAME_LENGTH:
        raise InvalidRequestError(f"Producer-Id must have 1 to {_MAX_NAME_LENGTH} characters and not be blank.")
    epoch, seq = PRODUCER_EPOCH.read(req.headers), PRODUCER_SEQ.read(req.headers)
    return ProducerRequest(name, epoch, seq, hashlib.sha256(body).hexdigest()[:16])
