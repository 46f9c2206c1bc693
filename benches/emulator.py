"""moto's EC2, which counts calls and the time that it takes itself. Argument: a port on 127.0.0.1.

`GET /counted` gives {"calls": {action: number}, "seconds": …} since the last time.
"""

import io
import json
import logging
import sys
import threading
import time
from urllib.parse import parse_qs

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple


class Counting:
    def __init__(self, app):
        self.app, self.lock, self.calls, self.seconds = app, threading.Lock(), {}, 0.0

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] == "/counted":
            return self.counted(start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        action = parse_qs(body.decode("latin-1")).get("Action", ["?"])[0]
        began = time.perf_counter()
        answer = list(self.app(environ, start_response))
        took = time.perf_counter() - began
        with self.lock:
            self.calls[action] = self.calls.get(action, 0) + 1
            self.seconds += took
        return answer

    def counted(self, start_response):
        with self.lock:
            text = json.dumps({"calls": self.calls, "seconds": self.seconds})
            self.calls, self.seconds = {}, 0.0
        start_response("200 OK", [("Content-Type", "application/json")])
        return [text.encode()]


logging.getLogger("werkzeug").setLevel(logging.ERROR)
run_simple("127.0.0.1", int(sys.argv[1]), Counting(DomainDispatcherApplication(create_backend_app)), threaded=True)
