"""Serves a text over TLS, as a company with its own authority does, until its standard input ends.

Writes the authority's certificate to the file that the first argument names, then its port as a line.
"""

import datetime, http.server, ipaddress, os, ssl, sys, tempfile, threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

TEXT = b"served over TLS"


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def certificate(name, key, issuer, issuer_key, is_authority):
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    host = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    return builder.add_extension(host, critical=False).sign(issuer_key, hashes.SHA256())


def name(text):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        if self.path.startswith("/plain"):
            return self.answer(302, b"", {"Location": "http://127.0.0.1:9/a.txt"})
        if self.path.startswith("/moved"):
            return self.answer(302, b"", {"Location": "/a.txt"})
        if "Range" not in self.headers:
            return self.answer(200, TEXT, {})
        first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
        last = min(last, len(TEXT) - 1)
        return self.answer(206, TEXT[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{len(TEXT)}"})

    do_GET = do_HEAD

    def answer(self, status, body, headers):
        self.send_response(status)
        for key, value in {**headers, "Content-Length": len(body), "ETag": '"tag"'}.items():
            self.send_header(key, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
authority = certificate(name("authority"), authority_key, name("authority"), authority_key, True)
own = certificate(name("server"), key, name("authority"), authority_key, False)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
with tempfile.NamedTemporaryFile() as both:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    both.write(private + pem(own))
    both.flush()
    context.load_cert_chain(both.name)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
with open(sys.argv[1], "wb") as file:
    file.write(pem(authority))
print(server.server_port, flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
server.serve_forever()
