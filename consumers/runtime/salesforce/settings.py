"""What a process needs to know to talk to a Salesforce org, from the environment.

Place     bridge, crm_sync and `fakturo salesforce` -> [this]. Names are `FAKTURO_SALESFORCE_` and the field's name.
Secrets   `client_secret` is never printed: pydantic masks it, and no error quotes it.
"""

import os
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from fakturo.consumers.runtime.errors import SettingsFault
from fakturo.schemas.salesforce import API_VERSION

PREFIX = "FAKTURO_SALESFORCE_"


class SalesforceSettings(BaseSettings):
    """One org. With `private_key_file` the JWT bearer grant is used, else client credentials."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    login_url: str = Field(description="the org's My Domain, https://acme.my.salesforce.com; http:// only on loopback")
    client_id: str = Field(description="consumer key of the External Client App")
    client_secret: SecretStr | None = Field(default=None, description="its secret, for client credentials")
    username: str = Field(default="", description="the integration user, for JWT bearer")
    private_key_file: Path | None = Field(default=None, description="PEM file that signs the JWT")
    pubsub_target: str = Field(default="api.pubsub.salesforce.com:443", description="host:port of the Pub/Sub API")
    ca_file: Path | None = Field(default=None, description="CA certificates; None: those of the system")
    channel: str = Field(default="/data/ChangeEvents", description="the channel that the bridge subscribes to")
    api_version: str = Field(default=API_VERSION, pattern=r"^[0-9]{2,3}[.]0$")
    entities: str = Field(default="", description="objects to read whole, A,B; empty: those of the mapping profile")
    replay_policy: str = Field(
        default="resync", pattern="^(resync|latest|earliest|fail)$", description="when the stored position is lost"
    )
    reconcile_seconds: int = Field(default=3600, ge=1, description="how often is looked for what no event told")
    client_name: str = Field(default="fakturo", pattern="^[A-Za-z0-9_-]{1,40}$", description="names our own writes")
    api_reserve_percent: int = Field(default=20, ge=0, le=100, description="of the daily API calls, left to others")

    @property
    def is_plain(self) -> bool:
        """Return whether neither REST nor gRPC use TLS: a stand-in on this machine."""
        return self.login_url.startswith("http://")

    @field_validator("login_url")
    @classmethod
    def _is_url(cls, text: str) -> str:
        if not text.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
            raise ValueError("must begin with https:// (http:// is for a stand-in on this machine)")
        return text.rstrip("/")

    @model_validator(mode="after")
    def _has_grant(self) -> Self:
        if self.private_key_file is None and self.client_secret is None:
            raise ValueError("CLIENT_SECRET (client credentials) or PRIVATE_KEY_FILE (JWT bearer) is needed")
        if self.private_key_file is not None and not self.username:
            raise ValueError("USERNAME is needed with PRIVATE_KEY_FILE")
        return self


def load_salesforce_settings(**overrides: object) -> SalesforceSettings:
    """Return the settings of the org.

    Raises:
        SettingsFault: one sentence that names every setting that is missing or wrong; no value is quoted.
    """
    try:
        return SalesforceSettings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        problems = "; ".join(_problem(detail["loc"], detail["msg"]) for detail in error.errors())
        raise SettingsFault(f"settings: {problems}") from None


def load_salesforce_settings_if_set() -> SalesforceSettings | None:
    """Return the settings of the org, None where the environment names no org (no LOGIN_URL).

    Raises:
        SettingsFault: an org is named, and a setting of it is missing or wrong.
    """
    return load_salesforce_settings() if os.environ.get(PREFIX + "LOGIN_URL") else None


def _problem(location: tuple[int | str, ...], message: str) -> str:
    name = PREFIX + (str(location[0]).upper() if location else "")
    return f"{name} is not set" if message == "Field required" else f"{name}: {message.removeprefix('Value error, ')}"
