"""HEAD, which is answered as GET is, without the body (RFC 9110 §9.3.2)."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEAD: Final = "crm.head"
"""The key of a scope whose answer is sent without its body."""


class Heads:
    """Hands HEAD to the app as GET, and sends the headers of its answer alone."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        # A copy, because the server looks at the method of its own scope to see whether a body may follow.
        # Whoever answers with something long need not make it.
        asked = {**scope, "method": "GET", HEAD: True}
        try:
            await self.app(asked, receive, send_without_body)
        finally:
            if "route" in asked:
                scope["route"] = asked["route"]
