"""What an application name claims of a tenant: tables of cases."""

from __future__ import annotations

CLAIMS: dict[str, str | None] = {
    "tenant=ACME": "ACME",
    "orders tenant=ACME": "ACME",
    "orders;tenant=ACME;job=3": "ACME",
    "orders,tenant=ACME,job": "ACME",
    # a pooler's or a job's word behind it
    "tenant=ACME|nightly": "ACME",
    "nightly|tenant=ACME": "ACME",
    "tenant=ACME nightly": "ACME",
    "\ttenant=ACME\tnightly": "ACME",
    # the first claim counts
    "tenant=ACME tenant=OTHER": "ACME",
    # another word that ends like it is none
    "mytenant=ACME": None,
    "sub_tenant=ACME": None,
    "x:tenant=ACME": None,
    "mytenant=OTHER tenant=ACME": "ACME",
    # as it is written
    "TENANT=ACME": None,
    "tenant = ACME": None,
    "tenant=": None,
    "tenant=;tenant=ACME": "ACME",
    "tenant=a=b": "a=b",
    "tenant=tenant=ACME": "tenant=ACME",
    "tenant='A B'": "'A",
    "tenant=A\\B": "A\\B",
    "orders": None,
    "": None,
}
"""Name to the claim."""

PATTERNS: dict[str, dict[str, str | None]] = {
    "user: app_{tenant}": {
        "app_acme": "acme",
        "app_": None,
        "web_acme": None,
        "app_a b": None,
        "APP_acme": None,
    },
    "user:{tenant}": {"acme": "acme", "": None},
    "application: {tenant}-worker-*": {"acme-worker-7": "acme", "acme-worker": None, "a-b-worker-": "a-b"},
    "application: *[{tenant}]": {"job [acme]": "acme", "[acme]": "acme", "job acme": None},
    "application: a.b+{tenant}": {"a.b+acme": "acme", "aXb+acme": None, "a.bbacme": None},
    "application: a\\d({tenant}|x)$^": {"a\\d(acme|x)$^": "acme", "a1(acme|x)$^": None},
    "application: \u00e4-{tenant}": {"\u00e4-acme": "acme", "a-acme": None},
    "database: {tenant}_*_prod": {"acme_eu_prod": "acme", "acme_prod": None},
    "schema: tenant_{tenant}": {"tenant_acme": "acme", "public": None, "tenant_\u00e4": "\u00e4"},
}
"""Pattern to names of that kind, and what each claims."""

NO_PATTERNS = (
    '"user: {tenant}"',
    "null",
    "{}",
    "[1]",
    "[null]",
    '["{tenant}"]',
    '["user: acme"]',
    '["user: {tenant}{tenant}"]',
    '["user: {other}_{tenant}"]',
    '["host: {tenant}"]',
    '["user: *{tenant}*x*"]',
    '["USER: {tenant}"]',
    '["user: ' + "a" * 200 + '{tenant}"]',
    "[" + ", ".join(['"user: {tenant}"'] * 21) + "]",
)
"""Values of the setting that are refused."""
