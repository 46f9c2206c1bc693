"""Keystone or Neutron, on 127.0.0.1 alone. Arguments: which, and for Neutron the URL of Keystone.

Runs in the folder that has the databases in `files/`. Takes the service's usual port or the next ones that are free, enters
them into Keystone's catalog and writes each to NAME.port.
"""

import importlib
import os
import socket
import sqlite3
import sys

SERVICES = {
    # name: type in the catalog, usual port, path
    "keystone": ("identity", 5000, "/v3"),
    "neutron": ("network", 9696, ""),
}
# It is the same Neutron everywhere, but by its port one sees which endpoint a client took.
NEUTRON_PORTS = {
    # name of the port: region, interface
    "neutron": ("RegionOne", "public"),
    "neutron-internal": ("RegionOne", "internal"),
    "neutron-two": ("RegionTwo", "public"),
}
SHORT_LIVED = 5  # seconds


def listen(first_port: int) -> socket.socket:
    for port in range(first_port, first_port + 100):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else a restart waits for old connections
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(128)
            return listener
        except OSError:
            listener.close()
    sys.exit(f"no free port on 127.0.0.1 from {first_port} to {first_port + 99}")


def port_of(listener: socket.socket) -> int:
    return listener.getsockname()[1]


def write_port(name: str, listener: socket.socket) -> None:
    with open(f"{name}.port", "w") as f:
        f.write(f"{port_of(listener)}\n")


def enter_into_catalog(service_type: str, url: str, region: str = "%", interface: str = "%") -> None:
    with sqlite3.connect("files/keystone.db", timeout=60) as db:
        db.execute(
            "UPDATE endpoint SET url = ? WHERE service_id = (SELECT id FROM service WHERE type = ?)"
            " AND region_id LIKE ? AND interface LIKE ?",
            (url, service_type, region, interface),
        )


def with_short_lived_tokens(application, port: int):
    """Who logs in through this port gets a token that is soon over. Fit for one thread: the setting is for the process."""
    from keystone.conf import CONF

    lifetime = CONF.token.expiration

    def choose(environ, start_response):
        short = environ["SERVER_PORT"] == str(port)
        CONF.set_override("expiration", SHORT_LIVED if short else lifetime, "token")
        return application(environ, start_response)

    return choose


name, *keystone_url = sys.argv[1:]
here = os.path.dirname(os.path.realpath(__file__))
service_type, first_port, path = SERVICES[name]
listeners = []
for port, place in (NEUTRON_PORTS if name == "neutron" else {name: ()}).items():
    listeners.append(listen(first_port))
    enter_into_catalog(service_type, f"http://127.0.0.1:{port_of(listeners[-1])}{path}", *place)
    write_port(port, listeners[-1])

# The services read these when they are imported.
if name == "keystone":
    listeners.append(listen(first_port))
    write_port("short-lived", listeners[1])
    os.environ["OS_KEYSTONE_CONFIG_DIR"] = here
else:
    os.environ.update(
        OS_NEUTRON_CONFIG_DIR=here,
        OS_NEUTRON_CONFIG_FILES="neutron.conf",
        OS_DEFAULT__API_PASTE_CONFIG=f"{sys.prefix}/etc/neutron/api-paste.ini",
        OS_KEYSTONE_AUTHTOKEN__AUTH_URL=keystone_url[0],
        OS_KEYSTONE_AUTHTOKEN__WWW_AUTHENTICATE_URI=keystone_url[0],
    )
sys.argv = sys.argv[:1]  # and these, too

application = importlib.import_module(f"{name}.wsgi.api").application
if name == "keystone":
    application = with_short_lived_tokens(application, port_of(listeners[1]))

import waitress  # noqa: E402

# One thread: SQLite has one writer, and a second one would now and then get "database is locked" for an answer.
waitress.serve(application, sockets=listeners, threads=1)
