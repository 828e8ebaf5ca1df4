"""No secret survives, and nothing takes long."""

import re
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flakeguard_pipeline.normalize.redaction import kinds, needles, redact
from flakeguard_pipeline.normalize.signatures import failure_signature

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
    "atlassian-token": "ATA" + "TT3xFfGF0" + BODY + BODY[:16],
    "bitbucket-token": "AT" + "BB" + BODY[:32],
    "telegram-token": "123456789" + ":AA" + BODY[:33],
    "sendgrid-key": "S" + "G." + BODY[:22] + "." + BODY,
    "mailgun-key": "ke" + "y-" + "0a1b2c3d" * 4,
    "docker-token": "dckr_" + "pat_" + BODY[:27],
    "huggingface-token": "h" + "f_" + BODY[:34],
    "ai-key": "s" + "k-ant-api03-" + BODY,
    "digitalocean-token": "do" + "p_v1_" + "0a1b2c3d" * 8,
    "databricks-token": "da" + "pi" + "0a1b2c3d" * 4,
    "vault-token": "hv" + "s." + BODY[:24],
    "terraform-token": BODY[:14] + ".atl" + "asv1." + BODY * 2,
    "azure-secret": "aB1" + "8Q~" + BODY[:34],
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
    "Cookie: ",
    "; b=c",
    "curl -u joe:",
    "jdbc:oracle:thin:joe/",
    "?sig=",
    "joe@host.example",
    "DB_PASS=",
    "a_pass: ",
    "<password>",
    "<api-key a='b'>",
    "</password>",
    "<![CDATA[",
    "]]>",
    "passwd ",
    "hunter2",
    "https://0a1b2c3d4e@",
    "passphrase: ",
    "\n[... 9 characters",
    "\u212a",
    "\u017f",
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
        ("aws_secret_access_key = wJalr+/x", "aws_secret_access_key = [redacted:secret]"),
        ('{"private_key_id": "0a1b"}', '{"private_key_id": [redacted:key]}'),
        ("AccountName=a;AccountKey=Zm9v==;", "AccountName=a;AccountKey=[redacted:key];"),
        ("?sv=1&sig=" + BODY + "%3D&se=2", "?sv=1&sig=[redacted:azure-sas]&se=2"),
        ("Server=db;User=sa;Password=x y;", "Server=db;User=sa;Password=[redacted:password] y;"),
        ("Server=db;Pwd=hunter2;", "Server=db;Pwd=[redacted:password];"),
        ("jdbc:oracle:thin:joe/hunter2@//db:1521/x", "jdbc:oracle:thin:joe/[redacted:password]@//db:1521/x"),
        ("jdbc:mysql://db/x?user=a&password=b&c=d", "jdbc:mysql://db/x?user=a&password=[redacted:password]&c=d"),
        ("amqp://u:p@mq", "amqp://u:[redacted:password]@mq"),
        ("curl -u joe:hunter2 x", "curl -u joe:[redacted:password] x"),
        ("docker run -u 1000:1000 x", "docker run -u 1000:1000 x"),
        ("Cookie: sid=abc; theme=dark\nHost: a", "Cookie: [redacted:cookie]\nHost: a"),
        ("{'Set-Cookie': 'sid=abc; Path=/'}", "{'Set-Cookie': '[redacted:cookie]'}"),
        ("the cookie: it crumbled", "the cookie: it crumbled"),
        ("task-runner sk-learn-is-a-library-for-python", "task-runner sk-learn-is-a-library-for-python"),
        (
            "https://discord.com/api/webhooks/12/" + BODY,
            "https://discord.com/api/webhooks/12/[redacted:discord-webhook]",
        ),
        ("write to joe@host.example", "write to joe@host.example"),
        ("env: DB_PASS=hunter2 x", "env: DB_PASS=[redacted:password] x"),
        ("DB_PASS=two words\nA=b", "DB_PASS=[redacted:environment]\nA=b"),
        ("run with DB_PWD=hunter2;", "run with DB_PWD=[redacted:password];"),
        ("db_pass = 'two words', 1", "db_pass = [redacted:password], 1"),
        ('{"db_pass": "x"}', '{"db_pass": [redacted:password]}'),
        ("  DB_PASS: hunter2", "  DB_PASS: [redacted:password]"),
        ("test_pass: ok test_pass=1 first_pass: 3", "test_pass: ok test_pass=1 first_pass: 3"),
        ("assert render_pass == 3, t.py::a_pass::b", "assert render_pass == 3, t.py::a_pass::b"),
        ("<password>hunter2</password>", "<password>[redacted:password]</password>"),
        (
            '<a:dbPassword type="x">two words\n  </a:dbPassword>',
            '<a:dbPassword type="x">[redacted:password]\n  </a:dbPassword>',
        ),
        ("<apiKey><![CDATA[a<b]]></apiKey>", "<apiKey><![CDATA[a<b]]></apiKey>"),
        ("<apiKey><![CDATA[a-b]]></apiKey>", "<apiKey><![CDATA[[redacted:key]]]></apiKey>"),
        ("<a><access-token>two wor\n[... 9 characters", "<a><access-token>[redacted:token]\n[... 9 characters"),
        ("usage: login <user> <password> [--all]\nx", "usage: login <user> <password> [--all]\nx"),
        ("a List<Token>of(1) <Token> but was <x>", "a List<Token>of(1) <Token> but was <x>"),
        ("FooTest<Token>.adds", "FooTest<Token>.adds"),
        ("parse::<ApiKey>works", "parse::<ApiKey>works"),
        ("[<Token>, <Token>]", "[<Token>, <Token>]"),
        ("<password></password><b>c</b>", "<password></password><b>c</b>"),
        ("user joe passwd hunter2, then", "user joe passwd [redacted:password], then"),
        ("read /etc/passwd line1234", "read /etc/passwd line1234"),
        ("passwd failed for joe", "passwd failed for joe"),
        ("clone https://0a1b2c3d4e@host/x", "clone https://[redacted:token]@host/x"),
        ("git+https://0a1b2c3d4e@host/x", "git+https://[redacted:token]@host/x"),
        ("https://git@host ssh://long-user-name@host", "https://git@host ssh://long-user-name@host"),
        ("passphrase: a b c\nd", "passphrase: [redacted:password]\nd"),
        ("key_passphrase = a b c", "key_passphrase = [redacted:password]"),
        ('passphrase: "a b", d', "passphrase: [redacted:password], d"),
        ("passphrase: none", "passphrase: none"),
        ("Enter passphrase: ", "Enter passphrase: "),
        ('{"password": "correct horse batt', '{"password": [redacted:password]'),
        ("password='correct horse\n[... 9 characters", "password=[redacted:password]\n[... 9 characters"),
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


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("write to joe.x+y@mail.host.example, now", "write to [redacted:email], now"),
        ("no user@ñandú.com.ar", "no [redacted:email]"),
        ("Foo@1b2c3d4 and a.B@77aa01.5 stay", "Foo@1b2c3d4 and a.B@77aa01.5 stay"),
        ("postgres://u:p@db.host.example", "postgres://u:[redacted:password]@db.host.example"),
    ],
)
def test_addresses_are_replaced_on_request(text: str, redacted: str) -> None:
    assert redact(text, emails=True) == redacted


@settings(deadline=None)
@given(MIXTURES, st.booleans())
def test_redacting_twice_changes_nothing(text: str, emails: bool) -> None:
    once = redact(text, emails=emails)
    assert redact(once, emails=emails) == once


def _lower_ascii(text: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


@settings(deadline=None, max_examples=500)
@given(MIXTURES | MIXTURES.map(str.upper), st.booleans())
def test_a_text_without_a_needle_is_returned_unchanged(text: str, emails: bool) -> None:
    # both ways to compare without case: that of str.lower, and that of databases, which fold ASCII only
    if redact(text, emails=emails) != text:
        assert any(needle in text.lower() for needle in needles(emails=emails))
        assert any(needle in _lower_ascii(text) for needle in needles(emails=emails))
    for needle in needles(emails=emails):
        text = re.sub(re.escape(needle), "", text, flags=re.IGNORECASE)
    if not any(needle in text.lower() for needle in needles(emails=emails)):
        assert redact(text, emails=emails) == text


def test_needles_are_lower_case_and_addresses_add_theirs() -> None:
    assert all(needle and needle == needle.lower() for needle in needles())
    assert set(needles(emails=True)) - set(needles()) == {"@"}
    assert {"jwt", "cookie", "email"} <= set(kinds())


def test_letters_that_only_look_like_a_needle_are_no_secret() -> None:
    kelvin = "to\u212aen=abc"
    assert kelvin.lower() == "token=abc"
    assert redact(kelvin) == kelvin


@settings(deadline=None)
@given(st.sampled_from(["api_key={}", "Authorization: Bearer {}", "https://u:{}@host/x", "glpat-{}", "token {}"]))
def test_a_rotated_key_gives_the_same_signature(template: str) -> None:
    one, two = (template.format(word * 5) for word in ("Zq7wE", "b9Yvvv8"))
    if "{}" in template and "token {}" not in template:
        assert failure_signature("T", one, "") == failure_signature("T", two, "")
    assert failure_signature("T", one, "") == failure_signature("T", redact(one), "")


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
            "run DB_PASS=",
            "DB_PWD=",
            "passwd 1",
            "passphrase: a b ",
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
        "sk-",
        "hf_",
        "a@",
        "a.",
        "a@a.",
        "-u a:",
        "cookie:a",
        "jdbc:oracle:a:",
        "0:AA",
        "SG.",
        "sig=",
        "a8Q~",
        "a.atlasv1.",
        "_pass=",
        "_pass",
        "<password>",
        "<password a",
        "<token>a ",
        "<",
        "passwd ",
        "passphrase: ",
        "https://abcdefgh",
        'password="',
        "]]>",
    ],
)
def test_redaction_is_linear(piece: str) -> None:
    text = " ".join(needles(emails=True)) + piece * (1_000_000 // len(piece))
    start = time.perf_counter()
    redact(text, emails=True)
    assert time.perf_counter() - start < 20
