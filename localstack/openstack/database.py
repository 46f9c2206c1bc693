"""Makes `files/` in the current folder: both databases, Keystone's keys, the users, and clouds.yaml with gaps for URLs.

No server is needed or started.
"""

import importlib.util
import os
import sqlite3
import subprocess
import sys
import uuid
from typing import Any, NamedTuple

REGION, SECOND_REGION = "RegionOne", "RegionTwo"
KEYSTONE, SHORT_LIVED = "@KEYSTONE@", "@SHORT_LIVED@"  # filled in at each start, when the ports are known
ELSEWHERE = "http://in.invalid"  # each server enters its own URL when it starts
UNLIMITED = ("network", "subnet", "port", "security_group", "security_group_rule", "rbac_policy")


class User(NamedTuple):
    domain: str
    project: str
    name: str
    password: str
    roles: tuple[str, ...]


# Two users and projects of one name: who forgets the domain gets the wrong one or none.
DEMO = User("Default", "demo", "demo", "demo-password", ("member",))
READER = User("Default", "demo", "reader", "reader-password", ("reader",))
OTHER = User("other", "demo", "demo", "other-password", ("member",))
ADMIN = User("Default", "admin", "admin", "admin-password", ("admin",))
NEUTRON = User("Default", "service", "neutron", "neutron", ("admin", "service"))


def make_neutron() -> None:
    """From Neutron's own models, as its migrations can't run on SQLite (they alter constraints), and the one table that
    the migrations fill: the rules that a new group starts with."""
    import neutron
    import sqlalchemy
    from neutron.db.migration.models import head

    tables = head.get_metadata()
    engine = sqlalchemy.create_engine("sqlite:///files/neutron.db")
    tables.create_all(engine)

    migration = "db/migration/alembic_migrations/versions/2023.2/expand/c33da356b165_security_group_default_rules.py"
    spec = importlib.util.spec_from_file_location("migration", os.path.join(os.path.dirname(neutron.__file__), migration))
    filled = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(filled)
    attributes, rules = tables.tables["standardattributes"], tables.tables[filled.table_name]
    with engine.begin() as db:
        for rule in filled.default_template_rules:
            rule = dict(rule)
            row = {"description": rule.pop("description"), "resource_type": filled.table_name}
            [attribute] = db.execute(attributes.insert().values(row)).inserted_primary_key
            db.execute(rules.insert().values(standard_attr_id=attribute, **rule))


class Keystone:
    """Keystone's own API, called in this process."""

    def __init__(self) -> None:
        from keystone.server.flask import application, core
        from werkzeug.test import Client

        self.client = Client(core.setup_app_middleware(application.application_factory("public")))
        self.token = ""

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.client.open(f"/v3{path}", method=method, json=body, headers={"X-Auth-Token": self.token})
        if answer.status_code >= 300:
            sys.exit(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer

    def create(self, kind: str, parent: str = "", **fields: Any) -> dict[str, Any]:
        return self.call("POST", f"{parent}/{kind}s", {kind: fields}).json[kind]

    def ids(self, plural: str) -> dict[str, str]:
        return {each["name"]: each["id"] for each in self.call("GET", f"/{plural}").json[plural]}

    def log_in(self, user: User) -> None:
        who = {"name": user.name, "domain": {"name": user.domain}, "password": user.password}
        project = {"name": user.project, "domain": {"name": user.domain}}
        auth = {"identity": {"methods": ["password"], "password": {"user": who}}, "scope": {"project": project}}
        self.token = ""
        self.token = self.call("POST", "/auth/tokens", {"auth": auth}).headers["X-Subject-Token"]


def bootstrap() -> None:
    """What `keystone-manage db_sync`, `fernet_setup`, `credential_setup` and `bootstrap` do."""
    os.environ["OS_KEYSTONE_CONFIG_DIR"] = os.path.dirname(os.path.realpath(__file__))
    sys.argv = sys.argv[:1]  # Keystone reads it
    import keystone.server
    from keystone.cmd.bootstrap import Bootstrapper
    from keystone.common import fernet_utils
    from keystone.common.sql import upgrades
    from keystone.conf import CONF

    keystone.server.configure(config_files=[os.path.join(os.environ["OS_KEYSTONE_CONFIG_DIR"], "keystone.conf")])
    upgrades.offline_sync_database_to_version()
    for group in ("fernet_tokens", "credential"):
        repository = CONF[group].key_repository
        os.makedirs(repository, mode=0o700)
        keys = fernet_utils.FernetUtils(repository, 3, group)
        keys.create_key_directory()
        keys.initialize_key_repository()
    first = Bootstrapper()
    first.admin_username, first.admin_password = ADMIN.name, ADMIN.password
    first.project_name, [first.admin_role_name] = ADMIN.project, ADMIN.roles
    first.region_id, first.service_name = REGION, "keystone"
    first.public_url = first.internal_url = first.admin_url = ELSEWHERE
    first.bootstrap()


def make_keystone() -> None:
    bootstrap()
    keystone = Keystone()
    keystone.log_in(ADMIN)

    roles, domains, projects = keystone.ids("roles"), {"Default": "default"}, {}
    for user in (DEMO, READER, OTHER, NEUTRON):
        if user.domain not in domains:
            domains[user.domain] = keystone.create("domain", name=user.domain)["id"]
        domain, key = domains[user.domain], (user.domain, user.project)
        if key not in projects:
            projects[key] = keystone.create("project", name=user.project, domain_id=domain)["id"]
        user_id = keystone.create("user", name=user.name, password=user.password, domain_id=domain)["id"]
        for role in user.roles:
            keystone.call("PUT", f"/projects/{projects[key]}/users/{user_id}/roles/{roles[role]}")
        if user == DEMO:
            demo_id = user_id

    service = keystone.create("service", type="network", name="neutron")["id"]
    keystone.create("region", id=SECOND_REGION)
    for region, interface in ((REGION, "public"), (REGION, "internal"), (SECOND_REGION, "public")):
        keystone.create("endpoint", service_id=service, interface=interface, url=ELSEWHERE, region_id=region)

    keystone.log_in(DEMO)
    credential = keystone.create(
        "application_credential", f"/users/{demo_id}", name="demo", secret="demo-secret"
    )
    write_clouds(credential)


def write_clouds(credential: dict[str, Any]) -> None:
    import yaml

    def cloud(user: User, url: str = KEYSTONE) -> dict[str, Any]:
        auth = {"auth_url": url, "username": user.name, "password": user.password, "user_domain_name": user.domain}
        return {"region_name": REGION, "auth": auth | {"project_name": user.project, "project_domain_name": user.domain}}

    key = {"application_credential_id": credential["id"], "application_credential_secret": credential["secret"]}
    clouds = {
        "demo": cloud(DEMO),
        "demo-application-credential": {
            "region_name": REGION,
            "auth_type": "v3applicationcredential",
            "auth": {"auth_url": KEYSTONE} | key,
        },
        "demo-reader": cloud(READER),
        "demo-short-lived": cloud(DEMO, SHORT_LIVED),
        "other": cloud(OTHER),
        "admin": cloud(ADMIN),
    }
    with open("files/clouds.yaml", "w") as f:
        yaml.safe_dump({"clouds": clouds}, f, sort_keys=False)


def lift_quotas_of_demo() -> None:
    with sqlite3.connect("files/keystone.db") as db:
        [[project]] = db.execute("SELECT id FROM project WHERE name = 'demo' AND domain_id = 'default'")
    with sqlite3.connect("files/neutron.db") as db:
        rows = [(str(uuid.uuid4()), project, resource) for resource in UNLIMITED]
        db.executemany('INSERT INTO quotas (id, project_id, resource, "limit") VALUES (?, ?, ?, -1)', rows)


# The two share no process: both keep their settings in the same global.
PARTS = {"keystone": make_keystone, "neutron": make_neutron}
if sys.argv[1:]:
    PARTS[sys.argv[1]]()
else:
    parts = [subprocess.Popen([sys.executable, "-I", "-W", "ignore", __file__, name]) for name in PARTS]
    if any([part.wait() for part in parts]):
        sys.exit(1)
    lift_quotas_of_demo()
