"""The settings of every process, from the environment; all problems are named at once, before anything starts.

Place     read once by the command line, handed down as a value; nothing else reads the environment.
Prefix    `FAKTURO_`, but for `DATABASE_URL`, whose name is everybody's.
"""

from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from fakturo.consumers.runtime.errors import SettingsFault


class Settings(BaseSettings):
    """What a process needs to know. Names in the environment are `FAKTURO_` and the field's name in capitals."""

    model_config = SettingsConfigDict(env_prefix="FAKTURO_", extra="ignore", frozen=True)

    kafka: str = Field(description="bootstrap servers, host:port[,host:port]")
    database_url: str = Field(validation_alias="DATABASE_URL", description="postgresql://user@host:port/name")
    home: Path = Field(default=Path(".fakturo"), description="where the embedded stack keeps its books and logs")
    partitions: int = Field(default=4, ge=1, le=1024, description="partitions of every topic; chosen once")
    topic_prefix: str = Field(default="", description="put before every topic name and group id, for tests")
    catalog: Path | None = Field(default=None, description="the price list that the contracts agent publishes")
    seller_name: str = Field(default="Fakturo Seller")
    seller_country: str = Field(default="US")
    seller_vat_id: str = Field(default="", description="the seller's VAT id, as it stands on the invoices")
    seller_address: str = Field(default="", description="the seller's address, as it stands on the invoices")
    seller_registrations: str = Field(default="", description="countries, DE,FR, where consumers pay the local tax")
    seller_tax_rounding: str = Field(default="group", pattern="^(group|line)$", description="where tax is rounded")
    seller_timezone: str = Field(default="UTC", description="zone of accounts that name none")
    invoice_series: str = Field(default="INV", description="prefix of the invoice numbers")
    credit_note_series: str = Field(default="CN", description="prefix of the credit note numbers")
    review_seconds: int = Field(default=0, ge=0, description="how long an invoice is a draft; 0: finalised at once")
    corrections: str = Field(
        default="next_invoice", pattern="^(next_invoice|at_once)$", description="when corrections are billed"
    )
    profile: str = Field(default="core", description="mapping profile: core, cpq, rlm, or the path of a file of yours")
    crm_topics: str = Field(default="", description="topics of another Salesforce connector, read by crm_feed; a,b")
    crm_registry_url: str = Field(default="", description="the schema registry of those topics, http(s)://...")
    crm_registry_auth: SecretStr | None = Field(default=None, description="user:password of that registry, if it asks")
    crm_schemas: Path | None = Field(default=None, description="folder of event schemas, where bitmaps are sent")
    crm_shape: str = Field(
        default="",
        pattern="^(|cometd|confluent_v1|confluent_v2|osodevops|tagged_avro)$",
        description="the one form that those topics may have; empty: any",
    )
    crm_org: str = Field(default="", pattern="^(|00D[0-9A-Za-z]{15})$", description="id of their org, 18 characters")
    salesforce_client_name: str = Field(default="fakturo", description="names our own writes, to know their echoes")
    grace_seconds: int = Field(default=3600, ge=0, description="how long after its end a period stays open")
    billing_until: date | None = Field(default=None, description="no billing period is opened on or after this date")
    interim_seconds: float = Field(default=1.0, ge=0, description="longest wait for interim outputs; 0: only on ticks")
    statement_rest_seconds: float = Field(
        default=0.5, ge=0, description="how long an item rests after a running statement, at most the interim seconds"
    )
    parked_seconds_max: int = Field(default=30 * 86_400, ge=1, description="parked longer than this: a dead letter")
    usage_retention_months: int | None = Field(
        default=None, ge=1, description="usage older than so many months retires; empty: all is kept"
    )
    event_bytes_max: int = Field(default=1_048_576, description="a larger event is dead-lettered")
    usage_ahead_seconds_max: int = Field(
        default=366 * 86_400, ge=0, description="usage dated further in the future than this is dead-lettered"
    )
    batch_records_max: int = Field(default=5000, ge=1)
    bulk_records_max: int = Field(default=25_000, ge=1, description="largest batch of the bulk runner, in a backlog")
    bulk_bytes_max: int = Field(default=24 * 1_048_576, ge=1, description="the same in bytes, so that memory is flat")
    instance: str = Field(default="0", description="which worker of the agent this is; static membership")
    session_seconds: float = Field(default=30.0, gt=0, description="Kafka session timeout")
    metrics_port: int = Field(default=0, ge=0, le=65535, description="0 takes a free port")
    metrics_host: str = Field(default="127.0.0.1")
    log_format: str = Field(default="json", pattern="^(json|console)$")
    statement_timeout_seconds: float = Field(default=60.0, gt=0)

    @field_validator("kafka")
    @classmethod
    def _is_bootstrap(cls, text: str) -> str:
        for server in text.split(","):
            host, _, port = server.strip().rpartition(":")
            if not host or " " in host or not port.isdigit() or not 0 < int(port) < 65_536:
                raise ValueError(f"{server.strip()!r} is not host:port")
        return text

    @field_validator("crm_registry_url")
    @classmethod
    def _is_registry(cls, text: str) -> str:
        # The text itself is never repeated: it may hold a password.
        parts = urlsplit(text)
        if text and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("must begin with http:// or https://")
        if parts.username is not None:
            raise ValueError("must hold no user or password: FAKTURO_CRM_REGISTRY_AUTH takes user:password")
        return text

    @property
    def seller_tax_registrations(self) -> tuple[str, ...]:
        """Return the countries beyond its own in which the seller charges the local tax."""
        return tuple(code.strip().upper() for code in self.seller_registrations.split(",") if code.strip())

    @field_validator("seller_registrations")
    @classmethod
    def _are_countries(cls, text: str) -> str:
        for code in filter(None, (part.strip() for part in text.split(","))):
            if len(code) != 2 or not code.isascii() or not code.isalpha():
                raise ValueError(f"{code!r} is not a country code of two letters")
        return text

    @field_validator("database_url")
    @classmethod
    def _is_postgres(cls, text: str) -> str:
        # The text itself is never repeated: it may hold a password.
        parts = urlsplit(text)
        if parts.scheme.split("+")[0] not in ("postgres", "postgresql"):
            raise ValueError("must begin with postgresql://")
        try:
            _ = parts.port
        except ValueError:
            raise ValueError("its port is not a number; a password with : / @ or # must be percent-encoded") from None
        return text


def load_settings(**overrides: object) -> Settings:
    """Return the settings of this process.

    Raises:
        SettingsFault: one sentence that names every setting that is missing or wrong.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        problems = "; ".join(_problem(detail["loc"], detail["msg"]) for detail in error.errors())
        raise SettingsFault(f"settings: {problems}") from error


def _problem(location: tuple[int | str, ...], message: str) -> str:
    name = str(location[0]) if location else "?"
    variable = name if name == "DATABASE_URL" else f"FAKTURO_{name.upper()}"
    return (
        f"{variable} is not set"
        if message == "Field required"
        else f"{variable}: {message.removeprefix('Value error, ')}"
    )
