"""Health checks of processes, over HTTP on loopback."""

import http.client
from urllib.parse import urlsplit


def ready(url: str, timeout: float = 2.0) -> tuple[bool, str]:
    """Whether `/readyz` below the URL answers 200, with its answer or the error."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read(2_000).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return False, f"no answer ({error or type(error).__name__})"
    finally:
        connection.close()
    return answer.status == 200, f"{answer.status} {body}"
