"""TLS in front of Keystone and Neutron, as most clouds have it, with a certificate of a CA that nobody knows.

Arguments: a folder for `ca.pem`, and one or more ports on 127.0.0.1. Prints the TLS port of each, as JSON, and serves until
it is killed.
"""

import datetime
import ipaddress
import json
import os
import socket
import ssl
import sys
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

folder, *ports = sys.argv[1:]


def certificate(name, issuer=None, **extensions):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issued_by, signed_with = issuer or (subject, key)
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issued_by).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(hours=1))
    for critical, extension in extensions.values():
        builder = builder.add_extension(extension, critical=critical)
    return key, builder.sign(signed_with, hashes.SHA256())


def pem(*parts):
    def one(part):
        if isinstance(part, x509.Certificate):
            return part.public_bytes(serialization.Encoding.PEM)
        return part.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    return b"".join(map(one, parts))


def write(name, data):
    path = os.path.join(folder, name)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as f:
        f.write(data)
    return path


def copy(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    finally:
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def serve(listener, context, port):
    while True:
        client, _ = listener.accept()
        try:
            client = context.wrap_socket(client, server_side=True)
        except (ssl.SSLError, OSError):  # a client that doesn't trust us
            continue
        upstream = socket.create_connection(("127.0.0.1", port))
        for ends in ((client, upstream), (upstream, client)):
            threading.Thread(target=copy, args=ends, daemon=True).start()


ca_key, ca = certificate("a test's own CA", authority=(True, x509.BasicConstraints(ca=True, path_length=0)))
address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
key, leaf = certificate("127.0.0.1", (ca.subject, ca_key), address=(False, address))
write("ca.pem", pem(ca))
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(write("server.pem", pem(leaf, key)))

served = []
for port in map(int, ports):
    listener = socket.create_server(("127.0.0.1", 0))
    served.append(listener.getsockname()[1])
    threading.Thread(target=serve, args=(listener, context, port)).start()
print(json.dumps(served), flush=True)
