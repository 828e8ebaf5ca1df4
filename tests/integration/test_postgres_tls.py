"""TLS: what the address says of it reaches libpq, for rows and for what other libraries read."""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import psycopg2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from flakeguard_pipeline.domain.errors import WarehouseUnreachableError
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.postgres_session import close_pools, psycopg2_session
from tests.support.postgres import SERVER_VARIABLE, PostgresServer

IS_ENCRYPTED = "select ssl from pg_stat_ssl where pid = pg_backend_pid()"


def write_certificate(folder: Path, name: str) -> Path:
    """Write a self-signed certificate for 127.0.0.1, and its key beside it; return the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "flakeguard test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.crt"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path.with_suffix(".key").write_bytes(secret)
    return path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    write_certificate(folder, "right")
    write_certificate(folder, "wrong")
    return folder


@pytest.fixture(scope="module")
def url(certificates: Path, oldest_postgres_server: PostgresServer) -> Iterator[str]:
    """The address of a database of a server that speaks TLS; the newest server is built without."""
    if os.environ.get(SERVER_VARIABLE):
        pytest.skip("a server that was given keeps its own settings")
    database = oldest_postgres_server.database()
    with closing(psycopg2.connect(oldest_postgres_server.url)) as admin:
        admin.autocommit = True
        with admin.cursor() as cursor:
            cursor.execute("show data_directory")
            data = Path(cursor.fetchone()[0])
            for suffix in ("crt", "key"):
                place = data / f"server.{suffix}"
                shutil.copyfile(certificates / f"right.{suffix}", place)
                place.chmod(0o600)
                shutil.chown(place, data.stat().st_uid, data.stat().st_gid)
            cursor.execute("alter system set ssl = on")
            cursor.execute("select pg_reload_conf()")
            yield database.url
            close_pools()
            cursor.execute("alter system reset ssl")
            cursor.execute("select pg_reload_conf()")
    database.drop()


def test_a_server_that_proves_itself_is_trusted_by_every_driver(url: str, certificates: Path) -> None:
    address = f"{url}?sslmode=verify-full&sslrootcert={certificates / 'right.crt'}"
    with Warehouse(address).connect() as connection:
        assert connection.value(IS_ENCRYPTED) is True
    with closing(psycopg2_session(address, search_path="core", read_only=True)) as raw, raw.cursor() as cursor:
        cursor.execute(IS_ENCRYPTED)
        assert cursor.fetchone() == (True,)


def test_a_server_that_proves_nothing_is_refused_in_a_line(url: str, certificates: Path) -> None:
    start, _, name = url.rpartition("/")
    port = start.rpartition(":")[2]
    by_name = f"{start.rpartition('@')[0]}@localhost:{port}/{name}?hostaddr=127.0.0.1"
    for address, told in (
        (f"{url}?sslmode=verify-full&sslrootcert={certificates / 'wrong.crt'}", "certificate verify failed"),
        (f"{url}?sslmode=verify-ca&sslrootcert={certificates / 'missing.crt'}", "does not exist"),
        (f"{by_name}&sslmode=verify-full&sslrootcert={certificates / 'right.crt'}", "localhost"),
    ):
        with pytest.raises(WarehouseUnreachableError) as caught, Warehouse(address).connect():
            pass
        line = str(caught.value)
        assert told in line
        assert "check `sslmode` and `sslrootcert`" in line
        assert len(line.splitlines()) == 1
        with pytest.raises(WarehouseUnreachableError):
            psycopg2_session(address, search_path="core", read_only=True)


def test_what_the_environment_says_of_tls_holds(url: str, certificates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    monkeypatch.setenv("PGSSLROOTCERT", str(certificates / "wrong.crt"))
    close_pools()
    with pytest.raises(WarehouseUnreachableError, match="certificate verify failed"), Warehouse(url).connect():
        pass
