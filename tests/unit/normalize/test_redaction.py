"""No secret survives, and nothing takes long."""

import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flakeguard_pipeline.normalize.redaction import redact

# put together here so that no scanner takes the fixtures for leaked keys
BODY = "Zq7" * 12
JWT = "eyJ" + "hbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0." + "dozjgNryP4J3jVmNHl0w5N"
PEM = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA7Zq7\n" * 3 + "aB=\n-----END RSA PRIVATE" + " KEY-----"
SECRETS = {
    "aws-key": "AKIA" + "IOSFODNN7EXAMPLE",
    "google-key": "AIza" + BODY[:35],
    "google-token": "ya29." + BODY,
    "github-token": "ghp_" + BODY,
    "gitlab-token": "glpat-" + BODY[:20],
    "slack-token": "xoxb-" + "123456789012-" + BODY,
    "stripe-key": "sk_" + "live_" + BODY,
    "npm-token": "npm_" + BODY[:36],
    "jwt": JWT,
    "private-key": PEM,
}
WORDS = [
    "password=",
    "token: ",
    "secret",
    "=",
    ":",
    '"',
    "'",
    "\\",
    " ",
    "\n",
    "Authorization: ",
    "Bearer ",
    "://",
    "@",
    "u:p",
    "-----END PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----",
    "--api-key ",
    "AWS_SECRET_ACCESS_KEY=",
    "[redacted:token]",
    "abc123def456ghi",
    "\r\n",
    *SECRETS.values(),
]
MIXTURES = st.lists(st.sampled_from(WORDS) | st.text(max_size=5), max_size=12).map("".join)


@pytest.mark.parametrize(("kind", "secret"), SECRETS.items(), ids=SECRETS.keys())
def test_secrets_of_known_shape_are_replaced(kind: str, secret: str) -> None:
    assert redact(f"before {secret} after") == f"before [redacted:{kind}] after"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("postgres://joe:hunter2@db/x", "postgres://joe:[redacted:password]@db/x"),
        ("https://:p@ss@host", "https://:[redacted:password]@host"),
        ("http://host:8080/a@b", "http://host:8080/a@b"),
        ("password=hunter2, user=joe", "password=[redacted:password], user=joe"),
        ('{"password": "two words", "a": 1}', '{"password": [redacted:password], "a": 1}'),
        ('{\\"client_secret\\":\\"abc\\"}', '{\\"client_secret\\":[redacted:secret]"}'),
        ("api_key: abc apiKey=def", "api_key: [redacted:key] apiKey=[redacted:key]"),
        ("refreshToken => abc", "refreshToken => [redacted:token]"),
        ("password := x", "password := [redacted:password]"),
        ("curl --password hunter2 -v", "curl --password [redacted:password] -v"),
        (
            "AWS_SECRET_ACCESS_KEY=wJalr+/x y\nHOME=/root",
            "AWS_SECRET_ACCESS_KEY=[redacted:environment]\nHOME=/root",
        ),
        ("env: AWS_SECRET_ACCESS_KEY=wJalr", "env: AWS_SECRET_ACCESS_KEY=[redacted:secret]"),
        ("Authorization: Bearer abc", "Authorization: Bearer [redacted:authorization]"),
        ("authorization=Basic dTpw;", "authorization=Basic [redacted:authorization];"),
        ("sent Bearer abc123def456ghi", "sent Bearer [redacted:bearer]"),
        ("Unexpected token: } in a.InvalidToken: gone", "Unexpected token: } in a.InvalidToken: gone"),
        ("Invalid token: abc", "Invalid token: [redacted:token]"),
        ("password=null token: false", "password=null token: false"),
        (
            "the token expired; bearer authentication required",
            "the token expired; bearer authentication required",
        ),
        ("expected: <1> but was: <0>", "expected: <1> but was: <0>"),
        ("", ""),
    ],
)
def test_what_is_replaced_and_what_is_kept(text: str, redacted: str) -> None:
    assert redact(text) == redacted


def test_half_a_private_key_is_replaced() -> None:
    half = PEM.index("MIIE", len(PEM) // 2)
    assert redact(PEM[: half - 9] + "\n[...]") == "[redacted:private-key]\n[...]"
    assert redact("log\n" + PEM[half:] + "\nlog") == "log\n[redacted:private-key]\nlog"


@settings(deadline=None)
@given(MIXTURES)
def test_redacting_twice_changes_nothing(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


@settings(deadline=None)
@given(
    st.sampled_from(sorted(SECRETS)),
    st.text(max_size=40),
    st.text(max_size=40),
    st.sampled_from(" \n\t,;\"'"),
)
def test_a_planted_secret_never_survives(kind: str, before: str, after: str, gap: str) -> None:
    assert SECRETS[kind] not in redact(f"{before}{gap}{SECRETS[kind]}{gap}{after}")


@settings(deadline=None)
@given(
    st.sampled_from(
        [
            "password=",
            "DB_PASSWORD=",
            "token: ",
            '"secret": "',
            "x_api_key=",
            "Authorization: Bearer ",
            "://u:",
        ]
    ),
    st.text("abcXYZ0189+/_-", min_size=12, max_size=40),
)
def test_a_value_assigned_to_a_secret_name_never_survives(name: str, value: str) -> None:
    # a slash ends the part of a URL that may hold a password
    assume(name != "://u:" or "/" not in value)
    assert f"{name}{value}" not in redact(f'log {name}{value}@host"\n')


@pytest.mark.parametrize(
    "piece",
    [
        "eyJ",
        "eyJabcde.",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----\n",
        "A" * 64 + "\n",
        "password",
        "password=",
        "://a",
        "://a:",
        "AKIA",
        "SECRET_",
        "authorization ",
        "bearer ",
        "--token",
        " ",
        "token:: ",
        "glpat-",
    ],
)
def test_redaction_is_linear(piece: str) -> None:
    text = "secret password -----end eyj://" + piece * (1_000_000 // len(piece))
    start = time.perf_counter()
    redact(text)
    assert time.perf_counter() - start < 20
