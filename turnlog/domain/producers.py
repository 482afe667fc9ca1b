"""Outside producers that number their requests: which requests are new, repeated or refused."""

import hashlib
from dataclasses import dataclass

from turnlog.domain.errors import ProducerFencedError, ProducerGapError, ProducerSeqReusedError
from turnlog.domain.stored_documents import Producer, Receipt

_MAX_RECEIPTS = 50


@dataclass(frozen=True)
class ProducerRequest:
    """A numbered request of a producer. Each epoch counts 0, 1, 2 …; a list of events is one request."""

    name: str
    epoch: int
    seq: int
    body_hash: str

    @property
    def document_id(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()

    def find_receipt(self, known: Producer | None) -> Receipt | None:
        """The receipt of this request if it was carried out before. None if it is the next one.

        The receipt of a very old request is empty: it was carried out, but its sequences are no longer known.

        Raises:
            ProducerFencedError, ProducerGapError, ProducerSeqReusedError
        """
        if known is not None and self.epoch < known.epoch:
            raise ProducerFencedError(f"Epoch {self.epoch} is over: another instance uses epoch {known.epoch}.")
        expected = 0 if known is None or self.epoch > known.epoch else known.seq + 1
        if self.seq > expected:
            raise ProducerGapError(f"Producer-Seq is {self.seq}, but {expected} is next: send that one first.")
        if known is None or self.seq == expected:
            return None
        age = known.seq - self.seq
        if age >= len(known.receipts):
            return Receipt(first_sequence=1, count=0, body_hash="")
        receipt = known.receipts[-1 - age]
        if receipt.body_hash != self.body_hash:
            raise ProducerSeqReusedError(f"Producer-Seq {self.seq} was used with another body: take the next number.")
        return receipt

    def advance(self, known: Producer | None, first: int, count: int) -> Producer:
        """The producer after this request, whose `count` events begin with the sequence `first`."""
        before = known.receipts if known is not None and known.epoch == self.epoch else ()
        receipts = (*before, Receipt(first_sequence=first, count=count, body_hash=self.body_hash))[-_MAX_RECEIPTS:]
        return Producer(id=self.document_id, epoch=self.epoch, seq=self.seq, receipts=receipts)
