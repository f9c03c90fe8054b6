"""The HTTP API of a site: OpenAI's, with markings (docs/api.md).

Rules. Every route is a call of the factory, at the desk of the person whose API key was shown, under the ceilings of
the key and of the request; what is above them is answered, to the last byte, as on a site that never had it. Nothing is
answered without a key but the health check. Nothing of what is asked or answered is kept or logged: the journal has
counts, digests and markings. The bodies that come in are bounded before they are read and checked before they are used.
"""

from casemate.console.app import make_app
from casemate.console.desk import Console
from casemate.console.listening import Listening, serve_api

__all__ = ["Console", "Listening", "make_app", "serve_api"]
