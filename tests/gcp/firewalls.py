"""The firewall rules of a project, read with google-cloud-compute: `firewalls.py PROJECT`, as JSON.

Needs the variables that `localstack/up gcp` exports.
"""

import json
import os
import sys

from google.auth.credentials import AnonymousCredentials
from google.cloud import compute_v1
from google.protobuf import json_format

client = compute_v1.FirewallsClient(
    credentials=AnonymousCredentials(), client_options={"api_endpoint": os.environ["RSGSYNC_GCP_SERVER"]}
)
rules = client.list(project=sys.argv[1])
json.dump([json_format.MessageToDict(compute_v1.Firewall.pb(rule)) for rule in rules], sys.stdout)
