# shellcheck shell=bash disable=SC2154
# How clients of AWS reach a service of ours and nothing else. Sourced after service.sh, which sets `run`.

# For clients that read profiles: one that has the same contents as the variables, and no way to any other.
# Replaced in one go, as clients may be reading it.
write_profile() { # ENDPOINT
  cat >"$run/profile.new" <<END
[default]
aws_access_key_id = test
aws_secret_access_key = test
region = us-east-1
endpoint_url = $1
END
  mv "$run/profile.new" "$run/profile"
}

# Whatever the caller has set for the real AWS must lose. An endpoint for one service beats that for all, a session
# token would be sent along, and a profile may bring an endpoint, a role to assume or FIPS.
print_aws_exports() { # ENDPOINT [NAME=VALUE...]
  print_exports \
    AWS_ENDPOINT_URL="$1" \
    AWS_ENDPOINT_URL_EC2="$1" \
    AWS_ENDPOINT_URL_STS="$1" \
    AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=false \
    AWS_ACCESS_KEY_ID=test \
    AWS_SECRET_ACCESS_KEY=test \
    AWS_SESSION_TOKEN= \
    AWS_REGION=us-east-1 \
    AWS_DEFAULT_REGION=us-east-1 \
    AWS_CONFIG_FILE="$run/profile" \
    AWS_SHARED_CREDENTIALS_FILE="$run/profile" \
    AWS_PROFILE=default \
    AWS_DEFAULT_PROFILE=default \
    AWS_USE_FIPS_ENDPOINT=false \
    AWS_USE_DUALSTACK_ENDPOINT=false \
    AWS_EC2_METADATA_DISABLED=true \
    "${@:2}"
}
