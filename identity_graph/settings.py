"""Everything that can be set, from the environment; the README's table lists the same."""

import os
import sys
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from identity_graph.api.keys import ApiKey, parse_keys


def default_data_dir() -> Path:
    """The platform's place for an application's data."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "identity-graph"
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "identity-graph"


def _keys(value: object) -> object:
    return parse_keys(value) if isinstance(value, str) else value


class Settings(BaseSettings):
    """The settings of the service and of its commands. An empty variable counts as not set."""

    model_config = SettingsConfigDict(
        env_prefix="IDENTITY_GRAPH_", env_ignore_empty=True, frozen=True, populate_by_name=True, extra="forbid"
    )

    host: str = "127.0.0.1"
    """The address to listen on. Any but this machine's own needs ``api_keys``."""
    port: int = Field(default=8000, ge=0, le=65535)
    data_dir: Path = Field(default_factory=default_data_dir)
    """Where the embedded database keeps its data."""
    rules: Path | None = None
    """A rules file for a graph that has no rules yet; without one the defaults hold."""
    api_keys: Annotated[tuple[ApiKey, ...], NoDecode, BeforeValidator(_keys)] = ()
    """``name:scope+scope:sha256`` of each key, separated by commas. With keys the service is in production mode."""
    heap_mb: int | None = Field(default=None, ge=256)
    """Heap of the embedded database in MB; chosen from the machine's memory if not set."""
    page_cache_mb: int | None = Field(default=None, ge=64)
    """Page cache of the embedded database in MB; chosen likewise."""
    cache_dir: Path | None = None
    """Where the fetched Neo4j is kept; read by the embedded database."""
    java_home: Path | None = None
    """Another Java for the embedded database; read by it."""
    java_options: str = ""
    """Options for its Java, such as ``-XX:TieredStopAtLevel=1``; read by it."""
    neo4j_uri: str | None = Field(default=None, validation_alias="NEO4J_URI")
    """A Neo4j of one's own; the embedded one is then never started."""
    neo4j_user: str = Field(default="neo4j", validation_alias="NEO4J_USER")
    neo4j_password: SecretStr = Field(default=SecretStr(""), validation_alias="NEO4J_PASSWORD")

    @property
    def models(self) -> Path:
        """Where the models of this graph are kept, each in a folder that its version names."""
        return self.data_dir / "models"

    @property
    def audit(self) -> Path:
        """Where it is written down who read and who changed."""
        return self.data_dir / "audit"
