"""spaCy, and Presidio which stands on it, without torch: both import it where it is installed, and use none of it here.

That costs a second and 180 MB in every worker. While the import lasts, torch is told to be absent; a torch that is
already there stays.
"""

from __future__ import annotations

import contextlib
import sys
import threading

_LOCK = threading.Lock()


def import_spacy() -> None:
    """Import spaCy, for whoever imports more of it or Presidio afterwards."""
    with _LOCK:
        if "spacy" in sys.modules or "torch" in sys.modules:
            return
        sys.modules["torch"] = None  # type: ignore[assignment]
        try:
            import spacy  # noqa: F401

            with contextlib.suppress(ImportError):  # a stage that needs it says so itself
                import presidio_analyzer  # noqa: F401
        finally:
            del sys.modules["torch"]
