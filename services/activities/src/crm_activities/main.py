"""The activities API."""

from fastapi import FastAPI

from crm_activities.activity.routes import router as activities
from crm_activities.app import SERVICE
from crm_activities.appointment.routes import router as appointments
from crm_activities.consumers import CONSUMERS
from crm_activities.follow_up.routes import router as follow_up_rules
from crm_activities.importers import IMPORTERS
from crm_activities.phone_call.routes import router as phone_calls
from crm_activities.task.routes import router as tasks
from crm_activities.timeline.routes import router as timeline
from crm_kit.configuration.settings import Settings
from crm_kit.finding import search_router
from crm_kit.http.server import serve
from crm_kit.http.web import create_app
from crm_kit.importing.routes import all_imports


def app(settings: Settings | None = None) -> FastAPI:
    """Make the app. Settings come from the environment unless given."""
    return create_app(
        SERVICE,
        [
            search_router(SERVICE),
            tasks,
            phone_calls,
            appointments,
            activities,
            timeline,
            follow_up_rules,
            all_imports(IMPORTERS),
        ],
        settings=settings,
        consumers=CONSUMERS,
    )


def run() -> None:
    """Serve until SIGTERM."""
    serve(app)
