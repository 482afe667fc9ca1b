"""Outside producers that number their requests: which ones are new, which were carried out, which must not be."""

import hashlib
from dataclasses import dataclass

from shared.domain.documents import Producer, Receipt
from shared.domain.errors import ProducerFencedError, ProducerGapError, ProducerSeqReusedError

_KEPT_RECEIPTS = 50


@dataclass(frozen=True)
class ProducerClaim:
    """Which request of which producer this is. In every epoch requests count 0, 1, 2 …, a list of events as one."""

    name: str
    epoch: int
    seq: int
    body_hash: str

    @property
    def document_id(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()

    def replayed(self, known: Producer | None) -> Receipt | None:
        """Where this request's events stand, if it was carried out before; None if it is the next one.

        Of a repeat that is too old the receipt is empty: it was carried out, where is forgotten.

        Raises:
            ProducerFencedError, ProducerGapError, ProducerSeqReusedError
        """
        if known is not None and self.epoch < known.epoch:
            raise ProducerFencedError(f"Epoch {self.epoch} is over: another instance goes on in epoch {known.epoch}.")
        expected = 0 if known is None or self.epoch > known.epoch else known.seq + 1
        if self.seq > expected:
            raise ProducerGapError(f"Producer-Seq {self.seq} came, but {expected} is next: send that one first.")
        if known is None or self.seq == expected:
            return None
        back = known.seq - self.seq
        if back >= len(known.receipts):
            return Receipt(first=1, count=0, body_hash="")
        receipt = known.receipts[-1 - back]
        if receipt.body_hash != self.body_hash:
            raise ProducerSeqReusedError(f"Producer-Seq {self.seq} was used with another body: take the next one.")
        return receipt

    def carried_out(self, known: Producer | None, first: int, count: int) -> Producer:
        """The producer after this request, whose events stand from `first` on."""
        before = known.receipts if known is not None and known.epoch == self.epoch else ()
        receipts = (*before, Receipt(first=first, count=count, body_hash=self.body_hash))[-_KEPT_RECEIPTS:]
        return Producer(id=self.document_id, epoch=self.epoch, seq=self.seq, receipts=receipts)
