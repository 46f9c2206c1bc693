"""EC2 by another client than ours: `ec2.py ACTION [JSON]` makes one boto3 call (all pages of it) and prints the answer."""

import json
import sys

import boto3

action, arguments = sys.argv[1], json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
answer = getattr(boto3.client("ec2"), action)(**arguments)
answer.pop("ResponseMetadata", None)
print(json.dumps(answer, default=str))
