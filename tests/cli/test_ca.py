"""The lab's authority as its admin and its people meet it; real programs say what it can vouch for."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import certificate, offering
from ansible_collections.hpc.jupyter.plugins.module_utils.certificate import Pair
from ansible_collections.hpc.jupyter.plugins.plugin_utils import authority
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from hpc_jupyter import certificate as told
from hpc_jupyter import stores
from hpc_jupyter.commands import ca
from hpc_jupyter.context import Context
from hpc_jupyter.route import Route
from tests import typist
from tests.cli.test_command import run
from tests.cli.test_routes import TlsServer, make_certificate, serving

PASSPHRASE = "canary-Zq7 horse battery"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> authority.Authority:
    place = authority.Place(str(tmp_path_factory.mktemp("lab") / "ca"))
    return authority.make(place, name="Lab", passphrase=PASSPHRASE, domains=["cluster.example.org"], days=3650)


@pytest.fixture
def admin(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The environment of somebody with the passphrase in a file."""
    (tmp_path / "passphrase").write_text(f"{PASSPHRASE}\n")
    (tmp_path / "passphrase").chmod(0o600)
    return environment


def make(admin: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """``ca make`` without a terminal."""
    done = run(admin, "ca", "make", "--passphrase-file", f"{admin['HOME']}/passphrase", *options)
    assert PASSPHRASE not in done.stdout + done.stderr
    return done


def test_an_authority_from_the_making_to_the_browser_and_out_again(admin: dict[str, str]) -> None:
    place = Path(admin["HOME"], "ca")
    made = json.loads(make(admin, "--name", "Chemistry", "--domain", "cluster.example.org", "--json").stdout)
    assert made["domains"] == ["localhost", "cluster.example.org"]
    assert sorted(os.listdir(place)) == [".gitignore", "ca-key.p12", "ca.pem"]
    assert stat.S_IMODE((place / "ca-key.p12").stat().st_mode) == 0o600
    again = make(admin)
    assert (again.returncode, again.stderr.split(". ")[0]) == (
        1, f"hpc-jupyter: there is an authority already: {place}/ca.pem"
    )  # fmt: skip
    unasked = run(admin, "ca", "install")
    assert (unasked.returncode, unasked.stderr) == (
        2, "hpc-jupyter: --yes: without a terminal nobody can be asked whether to trust the authority. Add it\n"
    )  # fmt: skip
    firefox = Path(admin["HOME"], ".mozilla/firefox/x.default")
    firefox.mkdir(parents=True)
    subprocess.run(["certutil", "-N", "--empty-password", "-d", f"sql:{firefox}"], check=True, timeout=30)
    installed = run(admin, "ca", "install", "--yes").stdout
    assert f"sudo cp {place}/ca.pem /usr/local/share/ca-certificates/" in installed
    chromium = Path(admin["HOME"], ".pki/nssdb")
    for store in (chromium, firefox):
        assert _trusted(store) == [f"hpc-jupyter {made['sha256'][:16]}"]
    assert stat.S_IMODE(chromium.stat().st_mode) == 0o700
    assert json.loads(run(admin, "ca", "install", "--yes", "--json").stdout)["changed"] is False
    shown = run(admin, "ca", "show").stdout
    assert f"Trusted by:   Firefox ({firefox})\n" in shown
    assert f"SHA-256:      {told.colons(made['sha256'])}\n" in shown
    kept = (firefox / "cert9.db").read_bytes()
    (firefox / "cert9.db").write_text("no database")
    taken = run(admin, "ca", "uninstall")
    assert (taken.returncode, taken.stdout.splitlines()[:2]) == (1, [
        f"It is no longer trusted by Chromium and Chrome ({chromium})", f"Not looked at: {_unread(firefox)}"
    ])  # fmt: skip
    (firefox / "cert9.db").write_bytes(kept)
    assert json.loads(run(admin, "ca", "uninstall", "--json").stdout)["changed"] is True
    assert _trusted(chromium) == _trusted(firefox) == []


def _unread(store: Path) -> str:
    return (
        f"Firefox ({store}): function failed: SEC_ERROR_BAD_DATABASE: security library: bad database. Close the "
        "browser and try again; a store with a password of its own is changed in the browser's settings"
    )


def _trusted(store: Path) -> list[str]:
    """The names of those whom a store trusts for servers."""
    argv = ["certutil", "-L", "-d", f"sql:{store}"]
    lines = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30).stdout.splitlines()
    return [line.strip().removesuffix("C,,").strip() for line in lines if line.strip().endswith("C,,")]


def test_the_passphrase_is_asked_for_twice(environment: dict[str, str]) -> None:
    answers = [("Passphrase for", PASSPHRASE), ("Repeat for confirmation", PASSPHRASE)]
    argv = [sys.executable, typist.__file__, json.dumps(answers), sys.executable, "-m", "hpc_jupyter", "ca", "make"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    assert "The authority is made" in done.stdout
    assert PASSPHRASE not in done.stdout
    made = authority.read(authority.Place(f"{environment['HOME']}/ca"))
    assert made is not None
    assert made.signer(PASSPHRASE).authority == made


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["make"], "is needed where there is no terminal to ask for the passphrase on"),
        (["make", "--passphrase-file", "/nowhere"], "/nowhere cannot be read: No such file or directory"),
        (["make", "--passphrase-file", "HOSTS"], "others could read HOSTS. Take it from them: chmod 600 HOSTS"),
    ],
)  # fmt: skip
def test_bad_input_makes_no_authority(environment: dict[str, str], options: list[str], message: str) -> None:
    hosts = environment["HPC_JUPYTER_INVENTORY"]
    Path(hosts).chmod(0o644)
    done = run(environment, "ca", *(option.replace("HOSTS", hosts) for option in options))
    assert (done.returncode, done.stderr) == (2, f"hpc-jupyter: --passphrase-file: {message.replace('HOSTS', hosts)}\n")
    assert not Path(environment["HOME"], "ca").exists()


def test_without_an_inventory_there_is_no_place_for_an_authority(environment: dict[str, str]) -> None:
    del environment["HPC_JUPYTER_INVENTORY"]
    done = run(environment, "ca", "show")
    assert (done.returncode, done.stderr) == (
        2, "hpc-jupyter: -i: there is no inventory of yours, beside which the authority is kept. "
        f"Write {environment['HOME']}/.config/hpc-jupyter/inventory/hosts.yml, or name an inventory\n",
    )  # fmt: skip


def leaf(lab: authority.Authority, name: x509.GeneralName) -> x509.Certificate:
    """What somebody could sign who has stolen the key."""
    now = dt.datetime.now(dt.UTC)
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    builder = x509.CertificateBuilder(
        lab.certificate.subject, x509.Name([]), key, 7, not_valid_before=now, not_valid_after=now + dt.timedelta(days=9)
    )
    signer = lab.signer(PASSPHRASE).key
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    builder = builder.add_extension(x509.SubjectAlternativeName([name]), critical=True)
    builder = builder.add_extension(issuer, critical=False).add_extension(usage, critical=False)
    return builder.sign(signer, hashes.SHA256())


@pytest.mark.parametrize(
    ("name", "believed"),
    [
        (x509.DNSName("localhost"), True), (x509.DNSName("login.cluster.example.org"), True),
        (x509.IPAddress(ipaddress.ip_address("127.0.0.1")), True), (x509.IPAddress(ipaddress.ip_address("::1")), True),
        (x509.DNSName("bank.example.com"), False), (x509.DNSName("example.org"), False),
        (x509.IPAddress(ipaddress.ip_address("192.0.2.1")), False),
        (x509.IPAddress(ipaddress.ip_address("127.0.0.2")), False),
    ],
)  # fmt: skip
def test_nobody_believes_it_outside_of_its_names(
    lab: authority.Authority, tmp_path: Path, name: x509.DNSName | x509.IPAddress, believed: bool
) -> None:
    made = leaf(lab, name)
    (tmp_path / "leaf.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    argv = ["openssl", "verify", "-CAfile", lab.place.certificate, str(tmp_path / "leaf.pem")]
    openssl = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert (openssl.returncode == 0) is believed
    assert believed or "permitted subtree violation" in openssl.stdout + openssl.stderr
    verifier = verification.PolicyBuilder().store(verification.Store([lab.certificate])).build_server_verifier(name)
    try:
        verifier.verify(made, [])
    except verification.VerificationError:
        assert not believed
    else:
        assert believed


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """An account's key and certificate, which are good."""
    made = Pair(str(tmp_path))
    certificate.make(made, days=90)
    assert offering.usable(made, copies=str(tmp_path / "copies")) == certificate.fingerprint(made)
    return made


def _ended(pair: Pair) -> None:
    key = serialization.load_pem_private_key(Path(pair.key).read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    name, now = x509.Name([]), dt.datetime.now(dt.UTC)
    made = x509.CertificateBuilder(
        name, name, key.public_key(), 7, not_valid_before=now - dt.timedelta(days=9),
        not_valid_after=now - dt.timedelta(days=1),
    )
    Path(pair.certificate).write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def _other_key(pair: Pair) -> None:
    certificate.request(pair)
    os.replace(pair.next_key, pair.key)


_FAULTS: list[tuple[Callable[[Pair], None], str, str]] = [
    (_ended, "cert.pem has ended", "cert.pem ends within 30 days"),
    (_other_key, "key values mismatch", "key.pem does not belong to cert.pem"),
    (lambda pair: os.chmod(pair.key, 0o644), "others could read key.pem", "others could read key.pem"),
    (lambda pair: os.unlink(pair.key), "No such file or directory", "there is no key.pem"),
    (lambda pair: os.unlink(pair.certificate), "No such file or directory", "there is no cert.pem"),
]


@pytest.mark.rows("B63")
@pytest.mark.parametrize(("spoil", "refused", "why"), _FAULTS, ids=["ended", "key", "mode", "no key", "no certificate"])
def test_no_session_uses_what_is_wrong_and_setup_makes_it_good(
    pair: Pair, spoil: Callable[[Pair], None], refused: str, why: str, tmp_path: Path
) -> None:
    copies = str(tmp_path / "copies")
    spoil(pair)
    with pytest.raises(offering.CannotOffer) as caught:
        offering.usable(pair, copies=copies)
    assert str(caught.value).startswith(f"no certificate to speak https with: {pair.directory}")
    assert refused in str(caught.value)
    assert "run the playbook hpc.jupyter." in str(caught.value)
    assert certificate.problem(pair, renew_days=30) == why
    certificate.make(pair, days=90)
    assert offering.usable(pair, copies=copies)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TlsServer]:
    """A session with a certificate that it has signed itself."""
    make_certificate(tmp_path / "server.pem")
    with serving(tmp_path / "server.pem") as running:
        yield running


def test_who_has_to_compare_is_told_what(server: TlsServer, environment: dict[str, str]) -> None:
    context = Context((environment["HPC_JUPYTER_INVENTORY"],))
    port = server.server_address[1]
    assert told.lines(context, Route("lan", port, "/x/", "", sha256=server.sha256)) == [
        "The browser will warn that it does not know the certificate. View it there, and go on only if its SHA-256 is",
        f"  {told.colons(server.sha256)}",
    ]
    assert told.lines(context, Route("node", port, "/x/", "")) == []


def test_where_the_authority_has_signed_the_browser_needs_it_once(
    admin: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(admin)
    monkeypatch.setenv("HOME", admin["HOME"])
    context = Context((admin["HPC_JUPYTER_INVENTORY"],))
    lab = authority.read(authority.Place(f"{admin['HOME']}/ca"))
    assert lab is not None
    with serving(_signed(lab, tmp_path)) as server:
        route = Route("lan", server.server_address[1], "/x/", "", sha256=server.sha256)
        assert told.lines(context, route) == [
            "The lab's authority has signed its certificate. If the browser warns, have it trust that once: "
            f"hpc-jupyter -i {admin['HPC_JUPYTER_INVENTORY']} ca install"
        ]
        stores.add(stores.stores(os.environ)[0], lab)
        assert told.lines(context, route) == []
        monkeypatch.setenv("PATH", "/nowhere")
        assert len(told.lines(context, route)) == 1


def _signed(lab: authority.Authority, place: Path) -> Path:
    """An account's key with the certificate that the authority has signed for it, in one file."""
    account = Pair(str(place))
    certificate.install(account, lab.signer(PASSPHRASE).sign(certificate.request(account), days=90))
    both = place / "both.pem"
    both.write_text(Path(account.key).read_text() + certificate.text(account))
    return both


def test_without_certutil_the_way_is_told(admin: dict[str, str], tmp_path: Path) -> None:
    make(admin)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(shutil.which("python3") or sys.executable)
    done = run({**admin, "PATH": str(tmp_path / "bin")}, "ca", "install", "--yes")
    assert done.returncode == 1
    assert done.stderr.startswith(f"hpc-jupyter: {stores.NO_CERTUTIL}")
    assert not (tmp_path / ".pki").exists()


@pytest.mark.parametrize("verb", ["show", "uninstall"])
def test_without_certutil_nobody_says_that_no_browser_trusts_it(
    lab: authority.Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verb: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    commands = {"show": ca.show, "uninstall": ca.uninstall}
    where = os.path.dirname(lab.place.certificate)
    none = {"show": "Trusted by:   no browser of yours that hpc-jupyter knows of", "uninstall": "No browser of yours "}
    assert none[verb] in "\n".join(commands[verb](Context(), where).lines())
    (tmp_path / ".pki/nssdb").mkdir(parents=True)
    (tmp_path / ".pki/nssdb/cert9.db").touch()
    told = commands[verb](Context(), where)
    assert (told.code, told.problems) == (1, (stores.NO_CERTUTIL,))
    assert f"Not looked at: {stores.NO_CERTUTIL}" in told.lines()
    assert none[verb] not in "\n".join(told.lines())
