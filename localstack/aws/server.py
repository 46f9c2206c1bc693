"""LocalStack with EC2 alone, on 127.0.0.1 alone. Arguments: the folder for its files, the file to write its port to.

It takes port 4566, or the next one that is free.
"""

import os
import socket
import sys

FIRST_PORT = 4566


def listen() -> socket.socket:
    for port in range(FIRST_PORT, FIRST_PORT + 100):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else a restart waits for old connections
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(128)
            return listener
        except OSError:
            listener.close()
    sys.exit(f"no free port on 127.0.0.1 from {FIRST_PORT} to {FIRST_PORT + 99}")


files, port_file = sys.argv[1:]
listener = listen()
port = listener.getsockname()[1]

# LocalStack reads these when it is imported.
os.environ.update(
    FILESYSTEM_ROOT=files,
    OVERRIDE_IN_DOCKER="0",  # inside a container it would take the system's folders and all addresses
    GATEWAY_LISTEN=f"127.0.0.1:{port}",
    SERVICES="ec2",
    EAGER_SERVICE_LOADING="1",  # healthy means that the first call is fast
    # Nothing goes out:
    DISABLE_EVENTS="1",
    SKIP_SSL_CERT_DOWNLOAD="1",
    DNS_ADDRESS="0",
)

from twisted.internet import endpoints  # noqa: E402

# LocalStack ignores the address in GATEWAY_LISTEN and would listen on all of them. It gets our socket instead, which
# also leaves nobody the time to take the port between the choice and the start.
endpoints.TCP4ServerEndpoint = lambda reactor, _port: endpoints.AdoptedStreamServerEndpoint(
    reactor, listener.detach(), socket.AF_INET
)

from localstack.runtime.main import main  # noqa: E402

with open(port_file, "w") as f:
    f.write(f"{port}\n")
main()
