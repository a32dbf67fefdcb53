"""Makes the container of the first argument in Azurite at the port of the second one, and puts each file below the
directory of the third one there. Its account and key are those of every Azurite."""

import base64, email.utils, hashlib, hmac, pathlib, sys, urllib.parse, urllib.request

ACCOUNT = "devstoreaccount1"
KEY = base64.b64decode("Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==")
container, port, directory = sys.argv[1:]


def put(path, body, headers, query=""):
    headers = {**headers, "x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
    listed = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    path = f"/{ACCOUNT}/{urllib.parse.quote(path)}"
    asked = "".join("\n" + part.replace("=", ":") for part in query.split("&") if part)
    # No header but these says anything, and the length only if there is one.
    signed = f"PUT\n\n\n{len(body) or ''}\n\napplication/octet-stream\n\n\n\n\n\n\n{listed}/{ACCOUNT}{path}{asked}"
    signature = base64.b64encode(hmac.new(KEY, signed.encode(), hashlib.sha256).digest()).decode()
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{signature}"
    headers["Content-Type"] = "application/octet-stream"
    url = f"http://127.0.0.1:{port}{path}" + (f"?{query}" if query else "")
    urllib.request.urlopen(urllib.request.Request(url, body, headers, method="PUT"))


put(container, b"", {}, "restype=container")
for file in pathlib.Path(directory).rglob("*"):
    if file.is_file():
        put(f"{container}/pre/{file.relative_to(directory)}", file.read_bytes(), {"x-ms-blob-type": "BlockBlob"})
# As Azure's drivers for Hadoop mark directories.
put(f"{container}/pre/text", b"", {"x-ms-blob-type": "BlockBlob", "x-ms-meta-hdi_isfolder": "true"})
