"""The headers by which an outside producer numbers its requests: for each, exactly once."""

import hashlib

from azurefunctions.extensions.http.fastapi import Request

from shared.api.edge.parameters import IDEMPOTENCY_KEY, MAX_SEQUENCE, Integer, Text
from shared.api.edge.requests import idempotency_key
from shared.domain.errors import (
    IdempotencyKeyReusedError,
    InvalidRequestError,
    ProducerFencedError,
    ProducerGapError,
    ProducerSeqReusedError,
)
from shared.domain.producers import ProducerClaim
from shared.services.idempotency import IdempotencyKey

_MOST_NAME_LENGTH = 256

PRODUCER_ID = Text(
    "producer-id",
    "the producer's own name in this session; goes together with the two others",
    place="header",
    pattern=r"\S",
    most_length=_MOST_NAME_LENGTH,
)
PRODUCER_EPOCH = Integer(
    "producer-epoch",
    "one more with each restart: what an older one still sends is refused",
    place="header",
    default=0,
    most=MAX_SEQUENCE,
)
PRODUCER_SEQ = Integer(
    "producer-seq",
    "the request's number in its epoch, from 0; a repeat answers with the sequences of the first time",
    place="header",
    default=0,
    most=MAX_SEQUENCE,
)
_TOGETHER = (PRODUCER_ID, PRODUCER_EPOCH, PRODUCER_SEQ)
ONCE_ONLY = (IDEMPOTENCY_KEY, *_TOGETHER)
REFUSES_REPEATS = (IdempotencyKeyReusedError, ProducerSeqReusedError, ProducerGapError, ProducerFencedError)


def once_only(req: Request, body: bytes) -> IdempotencyKey | ProducerClaim | None:
    """By what a repeat of the request is known: its Idempotency-Key, or its producer's numbers; None without either.

    Raises:
        InvalidRequestError: there are both, or not all of a producer's headers, or one that makes no sense.
    """
    given = [each.name for each in _TOGETHER if each.name in req.headers]
    if not given:
        return idempotency_key(req, body)
    if len(given) < len(_TOGETHER):
        missing = ", ".join(each.name for each in _TOGETHER if each.name not in given)
        raise InvalidRequestError(f"Producer-Id, Producer-Epoch and Producer-Seq go together: {missing} is missing.")
    if IDEMPOTENCY_KEY.name in req.headers:
        raise InvalidRequestError("Producer-Seq and Idempotency-Key are two ways to the same end: send one of them.")
    name = req.headers[PRODUCER_ID.name]
    if not name.strip() or len(name) > _MOST_NAME_LENGTH:
        raise InvalidRequestError(f"Producer-Id takes 1 to {_MOST_NAME_LENGTH} characters.")
    epoch, seq = PRODUCER_EPOCH.of(req.headers), PRODUCER_SEQ.of(req.headers)
    return ProducerClaim(name, epoch, seq, hashlib.sha256(body).hexdigest()[:16])
