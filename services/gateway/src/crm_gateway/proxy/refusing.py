"""What the gateway's own answers say when a service answers with a problem, or with nonsense."""

from typing import Final

import orjson

from crm_contracts.sentences import said
from crm_gateway.proxy.upstream import UpstreamAnswer
from crm_kit.errors import DomainError
from crm_kit.http.problems import MEDIA_TYPE, Problem, status_of
from crm_language.messages import Translated

STANDARD: Final = frozenset(Problem.model_fields)


def refusal(service: str, answer: UpstreamAnswer) -> DomainError:
    """Return the problem that a service answered. An answer that is no problem becomes our 502."""
    try:
        told = orjson.loads(answer.body) if answer.headers.get("content-type") == MEDIA_TYPE else {}
    except orjson.JSONDecodeError:
        told = {}
    slug = str(told.get("type", "")).removeprefix("/problems/")
    if answer.status == 500 or status_of(slug) != answer.status:
        return makes_no_sense(service, str(answer.status))
    members = {name: value for name, value in told.items() if name not in STANDARD}
    return DomainError(slug, Translated(told.get("detail", "")), members=members)


def makes_no_sense(service: str, what: str) -> DomainError:
    """Return the 502 for an answer that a service must not give."""
    return DomainError("upstream-failed", said("The service '{service}' answered {what}.", service=service, what=what))
