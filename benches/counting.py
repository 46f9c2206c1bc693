"""A proxy before a service: counts the requests by method and path, without ids and queries. The same for every client."""

import http.client
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ID = re.compile(r"/[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}\b")
# Of one connection, not of the request.
OF_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "date", "server", "content-length"}


class Counting:
    def __init__(self, service):
        """`service` is host and port."""
        self.lock, self.calls = threading.Lock(), {}
        counting = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def setup(self):
                super().setup()
                self.upstream = http.client.HTTPConnection(service)

            def finish(self):
                super().finish()
                self.upstream.close()

            def serve(self):
                counting.count(f"{self.command} {ID.sub('/ID', self.path.split('?')[0])}")
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                # `Host` as the client sent it: the links that the service makes lead here again.
                headers = {name: value for name, value in self.headers.items() if name.lower() not in OF_CONNECTION}
                self.upstream.request(self.command, self.path, body or None, headers)
                answer = self.upstream.getresponse()
                content = answer.read()
                self.send_response(answer.status, answer.reason)
                for name, value in answer.getheaders():
                    if name.lower() not in OF_CONNECTION:
                        self.send_header(name, value)
                if answer.status != 204:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = serve

            def log_message(self, *told):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def count(self, request):
        with self.lock:
            self.calls[request] = self.calls.get(request, 0) + 1

    def counted(self):
        """How often each was called since the last time."""
        with self.lock:
            calls, self.calls = self.calls, {}
            return calls

    def close(self):
        self.server.shutdown()
        self.server.server_close()
