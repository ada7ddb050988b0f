"""Series of appointments: the state machine."""

from crm_kit.lifecycle import Lifecycle

LIFECYCLE = Lifecycle("open/open", {"end-series": ({"open/*"}, "ended/ended")})
