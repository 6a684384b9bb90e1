"""Who may ask the admin port, and what they see of it, read from the settings."""

from api.access.principal import Credential, Credentials, Principal
from proxy.collector.admin_token import AdminToken
from proxy.settings.model import AdminHostSettings, Settings, TokenSettings
from storage.query import Scope


def credentials_of(settings: Settings, admin_token: AdminToken) -> Credentials:
    """Make the credentials of the admin port: the data directory's token and those of the settings."""
    if settings.admin.auth == "off":
        return Credentials()
    others = [
        Credential(bytes.fromhex(token.sha256), Principal(token.name, token.role, scope_of(token)))
        for token in settings.tokens
    ]
    return Credentials(admin_token, others)


def scope_of(source: TokenSettings | AdminHostSettings) -> Scope:
    """Read the scope of a token or a name."""
    return Scope(projects=source.projects, containers=source.containers, clients=source.clients)
