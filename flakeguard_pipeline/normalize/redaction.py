"""Secrets out of free text, before anything is stored or shown.

What is recognised: keys and tokens of known shape, private keys, passwords in URLs, cookies, values assigned to
names that say they are secret and, on request, e-mail addresses. It errs towards redacting: a lost word in a
message costs less than a leaked key. Every pattern is linear: quantifiers are possessive or bounded, and no start is
scanned from twice.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MAX_PASSES = 8
"""A replacement may bring a next secret to light; texts settle after two passes, this is the stop."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """Replaces matches of `pattern` where one of `needles` (lower case) occurs in the text at all.

    The groups `before` and `after`, where the pattern has them, are kept.
    """

    kind: str
    needles: tuple[str, ...]
    pattern: re.Pattern[str]

    def apply(self, text: str) -> str:
        return self.pattern.sub(self._replacement, text)

    def _replacement(self, found: re.Match[str]) -> str:
        groups = found.groupdict()
        return f"{groups.get('before') or ''}[redacted:{self.kind}]{groups.get('after') or ''}"


# where a text was cut, what would have ended a value is missing
_CUT = r"(?=\n\[\.\.\. |\Z)"
# what is assigned to a name
_VALUE = (
    # an empty or harmless value, and what is redacted already
    r"(?!(?:null|none|nil|true|false|undefined)(?!\w))"
    r"(?!\\?[\"']?\[redacted:[a-z-]{1,20}\](?:[\s\"'&,;<>\\]|[)}\]]{1,4}(?:[\s\"',;]|\Z)|\Z))"
    rf"(?:\"[^\"\r\n]{{1,4096}}+(?:\"|{_CUT})|'[^'\r\n]{{1,4096}}+(?:'|{_CUT})|(?:\\?[\"'])?[^\s\"'&,;<>]++)"
)
# the text of an element of XML, and what follows it
_TEXT = r"(?:[^<\r\n\]]|\](?!\]>))++"
_END_TAG = r"(?=(?:\]\]>)?\r?\n?[ \t]{0,64}</)"


def _rules() -> Iterator[_Rule]:
    def rule(kind: str, needles: str, pattern: str, flags: re.RegexFlag = re.NOFLAG) -> _Rule:
        # ASCII: else `k` would match the Kelvin sign, in a text that no search for the needle finds
        return _Rule(kind, tuple(needles.split()), re.compile(pattern, flags | re.ASCII))

    # a key whose end was cut off is redacted as far as it looks like one
    yield rule(
        "private-key",
        "-----begin",
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:(?:[^-]|-(?!----))*+-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"|(?:(?:\s|\\n|\\r)*+[A-Za-z0-9+/=]{16,}+)*+"
        # the last line, cut short
        r"(?:(?:\r?\n|\\n)[A-Za-z0-9+/=]{1,15}(?=\r?\n|\\n|\Z))?)",
    )
    yield rule("aws-key", "akia asia abia acca", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Z0-9])")
    yield rule("google-key", "aiza", r"AIza[0-9A-Za-z_-]{35}")
    yield rule("google-token", "ya29.", r"ya29\.[0-9A-Za-z_-]{20,}+")
    yield rule("github-token", "github_pat_", r"github_pat_[A-Za-z0-9_]{22,}+")
    yield rule("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_[A-Za-z0-9]{30,}+")
    yield rule(
        "gitlab-token",
        "glpat- glcbt- gldt- glptt- glrt- glrtr- glft- glsoat- glagent- gloas- glimt- glffct- gr1348941",
        r"(?:gl(?:pat|cbt|dt|ptt|rtr?|ft|soat|agent|oas|imt|ffct)-|GR1348941)[A-Za-z0-9_.-]{20,}+",
    )
    yield rule("atlassian-token", "atatt3 atctt3", r"AT[AC]TT3[A-Za-z0-9_=.-]{50,}+")
    yield rule("bitbucket-token", "atbb", r"ATBB[A-Za-z0-9]{28,}+")
    yield rule("slack-token", "xox xapp-", r"(?:xox[a-z]|xapp)-[A-Za-z0-9-]{10,}+")
    yield rule("slack-webhook", "hooks.slack.com", r"hooks\.slack\.com/services/[A-Za-z0-9_/]{10,}+")
    yield rule(
        "discord-webhook",
        "/api/webhooks/",
        r"(?P<before>discord(?:app)?\.com/api/webhooks/[0-9]{1,24}/)[A-Za-z0-9_-]{20,}+",
        re.IGNORECASE,
    )
    yield rule("telegram-token", ":aa", r"(?<![0-9A-Za-z])[0-9]{8,12}:AA[A-Za-z0-9_-]{33}(?![A-Za-z0-9_-])")
    yield rule("sendgrid-key", "sg.", r"(?<![A-Za-z0-9_])SG\.[A-Za-z0-9_-]{16,64}+\.[A-Za-z0-9_-]{16,}+")
    yield rule("mailgun-key", "key-", r"(?<![A-Za-z0-9])key-[0-9a-f]{32}(?![0-9A-Za-z])")
    yield rule("docker-token", "dckr_pat_ dckr_oat_", r"dckr_[po]at_[A-Za-z0-9_-]{20,}+")
    yield rule("huggingface-token", "hf_ api_org_", r"(?<![A-Za-z0-9_])(?:hf|api_org)_[A-Za-z0-9]{30,}+")
    # OpenAI, Anthropic and those that follow them; a digit and a capital tell a key from kebab-case words
    yield rule(
        "ai-key",
        "sk-",
        r"(?<![A-Za-z0-9_-])sk-(?=[a-z_-]{0,200}[A-Z0-9])(?=[A-Za-z_-]{0,200}[0-9])[A-Za-z0-9_-]{20,}+",
    )
    yield rule("digitalocean-token", "doo_v1_ dop_v1_ dor_v1_", r"do[opr]_v1_[0-9a-f]{64}")
    yield rule("databricks-token", "dapi", r"(?<![A-Za-z0-9])dapi[0-9a-f]{32}(?:-[0-9])?(?![0-9a-f])")
    yield rule("vault-token", "hvs. hvb. hvr.", r"(?<![A-Za-z0-9])hv[sbr]\.[A-Za-z0-9_-]{24,}+")
    yield rule("terraform-token", ".atlasv1.", r"(?<![A-Za-z0-9])[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,}+")
    yield rule(
        "azure-secret", "q~", r"(?<![A-Za-z0-9_~.-])[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}(?![A-Za-z0-9_~.-])"
    )
    yield rule("azure-sas", "sig=", r"(?P<before>(?<![A-Za-z0-9_])sig=)[A-Za-z0-9%+/=_-]{20,}+", re.IGNORECASE)
    yield rule("stripe-key", "_live_ _test_", r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,}+")
    yield rule("npm-token", "npm_", r"npm_[A-Za-z0-9]{36}")
    yield rule("pypi-token", "pypi-", r"pypi-[A-Za-z0-9_-]{50,}+")
    # only at the start of a run of its characters: the dots are looked for once in each run
    yield rule("jwt", "eyj", r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{5,}+\.[A-Za-z0-9_-]{5,}+(?:\.[A-Za-z0-9_-]*+)?")
    yield rule(
        "password",
        "://",
        r"(?P<before>://[^\s/?#:@\"'<>\[]{0,256}:)(?!\[redacted:)[^\s/?#\"'<>]{1,256}(?P<after>@)",
    )
    # a token in the place of the user, without a password; shorter ones are names, as in git@
    yield rule(
        "token",
        "://",
        r"(?P<before>(?<![A-Za-z0-9])(?:git\+)?https?://)[^\s/?#:@\"'<>\[]{8,256}(?P<after>@)",
        re.IGNORECASE,
    )
    yield rule(
        "password",
        "jdbc:oracle:",
        r"(?P<before>jdbc:oracle:[a-z0-9]{1,10}:[^\s/@\"']{1,128}+/)(?!\[redacted:)[^\s@\"']{1,256}(?P<after>@)",
        re.IGNORECASE,
    )
    # curl -u joe:hunter2; a container's user and group are numbers
    yield rule(
        "password",
        "-u --user",
        r"(?P<before>(?<![\w-])(?:-u|--user)(?:[ \t]{1,8}|=)[\"']?+[A-Za-z_][^\s:\"'/\[]{0,256}+:)"
        r"(?![/\[])[^\s\"']{1,256}+",
    )
    yield rule(
        "authorization",
        "authorization",
        r"(?P<before>authorization\\?[\"']?[ \t]{0,8}[:=][ \t]{0,8}(?:\\?[\"'])?+"
        r"(?:(?:bearer|basic|token|digest|negotiate|apikey)[ \t]{1,8})?+)"
        r"(?!\[redacted:)[^\s\"',;]++",
        re.IGNORECASE,
    )
    yield rule(
        "bearer",
        "bearer",
        r"(?P<before>\bbearer[ \t]{1,8})(?=[A-Za-z._~+/=-]{0,200}[0-9])[A-Za-z0-9._~+/=-]{12,}+",
        re.IGNORECASE,
    )
    # all cookies of a header, to the end of the line or of the quotation
    yield rule(
        "cookie",
        "cookie",
        r"(?P<before>(?<!\w)cookie2?\\?[\"']?[ \t]{0,8}:[ \t]{0,8}(?:\\?[\"'])?+)"
        r"(?!\[redacted:cookie\])(?=[^\s\"'=;]{1,256}=)[^\"'\r\n]++",
        re.IGNORECASE,
    )
    # a line of an environment dump: its value may hold blanks, so it goes to the end of the line
    yield rule(
        "environment",
        "secret token passw passphrase _key credential _pass= _pwd=",
        r"^(?P<before>[ \t]{0,8}(?:export[ \t]{1,8}|set[ \t]{1,8})?(?=[A-Z])"
        r"(?=[A-Z0-9_]{0,64}(?:SECRET|TOKEN|PASSW|PASSPHRASE|_KEY|CREDENTIAL|_PASS=|_PWD=))[A-Z][A-Z0-9_]{0,127}=)"
        r"(?!\[redacted:[a-z-]{1,20}\][ \t]*(?:\r|$))(?=\S)[^\r\n]++",
        re.MULTILINE,
    )
    # words apart from each other, so they go to the end of the line
    yield rule(
        "password",
        "passphrase",
        r"(?P<before>passphrase(?:s|[_-]\w{0,40})?(?:[ \t]{0,8}:|[ \t]{1,8}=)[ \t]{1,8})"
        r"(?!(?:null|none|nil|true|false|undefined)[ \t]*(?:\r|$))"
        r"(?!\[redacted:)(?=[^\s\"'=:>])[^\r\n]++",
        re.IGNORECASE | re.MULTILINE,
    )
    # as words of their own, `pass` and its like mean other things: a test that passes, a pass of a compiler
    yield rule(
        "password",
        "_pass",
        r"(?P<before>(?<!test)_pass(?:(?:\\?[\"'])?[ \t]{0,8}=(?!=)|\\?[\"'][ \t]{0,8}:(?!:))[ \t]{0,8})"
        rf"{_VALUE}",
        re.IGNORECASE,
    )
    yield rule("password", "_pass", rf"(?P<before>_PASS[ \t]{{0,8}}:(?!:)[ \t]{{0,8}}){_VALUE}")
    # in prose only where the value looks like one: `passwd` is a command and a file, too
    yield rule(
        "password",
        "passwd",
        r"(?P<before>(?<![\w/.-])passwd[ \t]{1,8})(?![:=\[/-])(?=[^\s0-9]{0,64}[0-9])[^\s\"'<>,;]{6,}+",
        re.IGNORECASE,
    )
    for kind, words in (
        ("password", ("password", "passwd", "passphrase", "pwd")),
        ("token", ("token",)),
        ("secret", ("secret", "credential")),
        (
            "key",
            (
                "apikey",
                "api_key",
                "api-key",
                "accesskey",
                "access_key",
                "access-key",
                "accountkey",
                "account_key",
                "privatekey",
                "private_key",
                "private-key",
                "authkey",
                "auth_key",
                "auth-key",
            ),
        ),
    ):
        word = "|".join(words)
        # parsers complain of unexpected tokens, and exceptions are called InvalidToken
        name = rf"(?<!unexpected )(?<!invalid)(?:{word})(?:s|[_-]?key|[_-]\w{{0,40}}|[0-9]{{1,4}})?"
        yield rule(
            kind,
            " ".join(words),
            rf"(?P<before>{name}\\?[\"']?[ \t]{{0,8}}(?>=>|:=|={{1,3}}|:{{1,2}})[ \t]{{0,8}}){_VALUE}",
            re.IGNORECASE,
        )
        yield rule(
            kind,
            " ".join(words),
            rf"(?P<before>(?<![\w-])--?[a-z-]{{0,32}}{name}[ \t]{{1,8}})(?![:=]){_VALUE}",
            re.IGNORECASE,
        )
        # an element of XML whose name says it, up to its end tag
        element = (
            rf"(?P<before><(?=[\w.:-]{{0,64}}(?:{word}))[\w.:-]{{1,128}}+(?:[ \t][^<>]{{0,256}}+)?+>[ \t]{{0,8}}"
            r"(?:<!\[CDATA\[)?+)"
            r"(?!\[redacted:[a-z-]{1,20}\][ \t]*(?:\]\]>)?(?:<|\r|\n|\Z))"
        )
        yield rule(kind, " ".join(words), rf"{element}(?=[^\s<]){_TEXT}{_END_TAG}", re.IGNORECASE)
        # or to where it was cut, unless it is a type, as in FooTest<Token>.adds
        yield rule(
            kind, " ".join(words), rf"(?<![\w:]){element}(?=[^\s\"'.,:;/()\[\]{{}}<>]){_TEXT}{_CUT}", re.IGNORECASE
        )


# letters of all scripts; the last part of a domain is no number, which tells joe@host.example from Foo@1b2c.3
_EMAILS = _Rule(
    "email",
    ("@",),
    re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}+@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,63}(?![\w-])"),
)
_RULES = tuple(_rules())
_RULES_WITH_EMAILS = (*_RULES, _EMAILS)
_KEY_END = "-----end"
_NEEDLES = tuple(dict.fromkeys((*(needle for rule in _RULES for needle in rule.needles), _KEY_END)))
_NEEDLES_WITH_EMAILS = (*_NEEDLES, *_EMAILS.needles)
_END_OF_KEY = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_LINE = re.compile(r"[A-Za-z0-9+/=]+")
_SHORTEST_KEY_LINE = 16


def needles(*, emails: bool = False) -> tuple[str, ...]:
    """Return lower-case strings of which every text that `redact` changes contains one, ASCII case aside.

    Whole columns are searched for them first: most texts hold none and need no look of their own.
    """
    return _NEEDLES_WITH_EMAILS if emails else _NEEDLES


def kinds() -> tuple[str, ...]:
    """Return the kinds of secrets that `redact` names, in the order in which they are looked for."""
    return tuple(dict.fromkeys(rule.kind for rule in _RULES_WITH_EMAILS))


def redact(text: str, *, emails: bool = False) -> str:
    """Return `text` with each secret replaced by `[redacted:<kind>]`; idempotent, linear in its length.

    Args:
        text: any text.
        emails: whether e-mail addresses are replaced, too.
    """
    lowered = text.lower()
    found = {needle for needle in needles(emails=emails) if needle in lowered}
    if not found:
        return text
    # a replacement never makes a rule match that had no needle in the text before
    rules = _RULES_WITH_EMAILS if emails else _RULES
    steps: list[Callable[[str], str]] = [rule.apply for rule in rules if not found.isdisjoint(rule.needles)]
    if _KEY_END in found:
        steps.append(_redact_key_ends)
    for _ in range(MAX_PASSES):
        before = text
        for step in steps:
            text = step(text)
        if text == before:
            break
    return text


def _redact_key_ends(text: str) -> str:
    """Redact private keys whose beginning was cut off: the lines of base64 before an end mark, and it."""
    out: list[str] = []
    at = 0
    for mark in _END_OF_KEY.finditer(text):
        start = mark.start()
        while start > at and text[start - 1] in " \t":
            start -= 1
        first = True
        while start > at:
            line_start = max(text.rfind("\n", at, start - 1) + 1, at)
            line = text[line_start:start].strip()
            # only the last line of a key is short
            if not _KEY_LINE.fullmatch(line) or (len(line) < _SHORTEST_KEY_LINE and not first):
                break
            first = False
            start = line_start
        out += (text[at:start], "[redacted:private-key]")
        at = mark.end()
    out.append(text[at:])
    return "".join(out)
