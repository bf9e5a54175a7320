"""The options of `fockjax serve`, as one flat dataclass."""

import functools
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from fockjax._advice import UserError, option
from fockjax._options import optional
from fockjax.runtime.memory import parse_size


@dataclass(frozen=True)
class ServeConfig:
    """Options of `fockjax serve`."""

    model: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="MODEL")]
    """Model folder, from fockjax train."""
    name: Annotated[str | None, optional("NAME")] = None
    """Name of the model in requests; by default that of its folder."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 is every interface."""
    port: int = 8000
    """Port to listen on; 0 takes a free one."""
    api_key_file: Annotated[Path | None, optional("FILE")] = None
    """File with a key that requests other than health checks need (Authorization: Bearer KEY)."""
    ssl_certfile: Annotated[Path | None, optional("FILE")] = None
    """TLS certificate."""
    ssl_keyfile: Annotated[Path | None, optional("FILE")] = None
    """Its private key."""

    max_wait: float = 1.0
    """Milliseconds that a request may be held back to let others join its batch."""
    queue_rows: int = 4096
    """Rows that may wait in the queue, which is also the most that one request may have."""
    deadline: float = 5.0
    """Seconds within which a request is answered or given up; a request may ask for less."""
    max_body: Annotated[str, tyro.conf.arg(metavar="SIZE")] = "16MB"
    """Largest body of a request, such as 16MB."""
    max_connections: int = 1000
    """Most connections at a time; while there are more, requests are answered with 503."""

    drain: float = 0.0
    """Seconds to go on accepting after SIGTERM, not ready, so that a load balancer notices."""
    compiled: Annotated[Path | None, optional("FOLDER")] = None
    """Folder that keeps compiled programs; by default fockjax in $XDG_CACHE_HOME or ~/.cache."""

    def check(self) -> None:
        """Raise UserError for a value that cannot work, naming its option."""
        if self.name is not None and (not self.name or "/" in self.name):
            raise UserError(f"--name must be a part of an address, without /, got {self.name!r}")
        for name in ("queue_rows", "max_connections"):
            if getattr(self, name) < 1:
                raise UserError(f"{option(name)} must be at least 1, got {getattr(self, name)}")
        for name in ("max_wait", "drain"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UserError(
                    f"{option(name)} must be finite and not negative, got {getattr(self, name)}"
                )
        if not 0 < self.deadline < float("inf"):
            raise UserError(f"--deadline must be positive and finite, got {self.deadline}")
        if not 0 <= self.port < 2**16:
            raise UserError(f"--port must lie between 0 and 65535, got {self.port}")
        if (self.ssl_certfile is None) != (self.ssl_keyfile is None):
            raise UserError("--ssl-certfile and --ssl-keyfile belong together")
        if self.ssl_certfile is not None:
            self.certificate()
        try:
            parse_size(self.max_body)
        except ValueError:
            raise UserError(
                f"--max-body must be a number of bytes or like '16MB', got {self.max_body!r}"
            ) from None

    @functools.cached_property
    def model_name(self) -> str:
        # Cached, since the current folder takes a call to the system.
        return self.name or Path(os.path.abspath(self.model)).name

    def api_key(self) -> str | None:
        """The key in the file; None if no file is given."""
        if self.api_key_file is None:
            return None
        try:
            key = self.api_key_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"--api-key-file {self.api_key_file} cannot be read: {error}") from None
        if not key or not key.isascii():
            raise UserError(f"--api-key-file {self.api_key_file} must hold a key, of ASCII letters")
        return key

    def certificate(self) -> ssl.SSLContext:
        """A context with the certificate and its key; UserError if they cannot be used."""
        assert self.ssl_certfile is not None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        files = f"--ssl-certfile {self.ssl_certfile} and --ssl-keyfile {self.ssl_keyfile}"
        try:  # an encrypted key is not asked for its password
            context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile, password=lambda: "")
        except (OSError, ValueError) as error:  # SSLError is an OSError
            raise UserError(f"{files} cannot be used: {error}") from None
        return context

    def compiled_folder(self) -> Path:
        if self.compiled is not None:
            return self.compiled
        try:
            base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        except RuntimeError as error:
            raise UserError(f"--compiled must be given here: {error}") from None
        return Path(base) / "fockjax"
