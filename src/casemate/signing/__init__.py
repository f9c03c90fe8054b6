"""Who vouches for which bytes: envelopes, statements, keys, signatures and the trust file.

Rules. Every signature is two, ECDSA P-384 and ML-DSA-65 over the same bytes, and both must verify. Signed JSON has one
spelling, so any changed byte is refused. A key signs only in the roles and the window that the officer's trust file
gives it. This room knows bytes and not files, stores or models. What verifies never imports `casemate.signing.sign`;
only the airlock and the gates hold a pen. Why these algorithms and formats: docs/adr/0003-signatures.md.
"""

from casemate.signing.envelope import Envelope, Signature
from casemate.signing.keys import PublicKey, generate_key_file
from casemate.signing.signer import Signer
from casemate.signing.statement import Statement, Subject
from casemate.signing.trust import Trust, TrustedKey, load_trust, sign_trust
from casemate.signing.verify import verify

__all__ = [
    "Envelope",
    "PublicKey",
    "Signature",
    "Signer",
    "Statement",
    "Subject",
    "Trust",
    "TrustedKey",
    "generate_key_file",
    "load_trust",
    "sign_trust",
    "verify",
]
