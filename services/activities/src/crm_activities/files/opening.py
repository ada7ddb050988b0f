"""Opens the storage that the settings name."""

from urllib.parse import unquote, urlsplit

from crm_activities.files.folder import Folder
from crm_activities.files.storage import Storage
from crm_activities.settings import settings_of
from crm_kit.errors import DomainError
from crm_kit.process.runtime import Runtime


def open_storage(url: str) -> Storage:
    """Return the storage at a URL that the settings have checked."""
    parts = urlsplit(url)
    if parts.scheme == "s3":
        from crm_activities.files.bucket import Bucket  # its library takes 20 MiB, and a folder does not need it

        return Bucket(url)
    return Folder(unquote(parts.path))


def storage_of(runtime: Runtime) -> Storage:
    """Return the storage of this process. Raises 503 ``unavailable`` if none is configured."""
    found: Storage | None = runtime.extras.get("files")
    if found is None:
        url = settings_of(runtime).files_url
        if not url:
            raise DomainError(
                "unavailable", "No storage for files is configured. Ask your operators to set CRM_FILES_URL."
            )
        found = runtime.extras["files"] = open_storage(url)
    return found
