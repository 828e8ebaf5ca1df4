"""Bounded, clean text: what of a report's text is kept, and how much of it.

Belongs here: limits on lengths, where a text is cut, and the removal of characters that no column can hold.
Does not belong here: anything that knows what an element or an attribute means, and redaction. Texts are cut before
they are redacted, so no cut may leave half a secret, which nothing recognises any more.
"""

import hashlib
import re

MAX_ATTRIBUTE = 10_000
"""Characters kept of one attribute: far above real names and messages, far below what harms a column."""

MAX_FAILURE_TEXT = 16 * 1024
"""Characters kept of one failure's text: several deep stack traces; what is beyond repeats them."""

MAX_OUTPUT_HEAD = 4 * 1024
"""Characters kept of the beginning of one captured output: how the test was set up."""

MAX_OUTPUT_TAIL = 4 * 1024
"""Characters kept of the end of one captured output: what happened right before the failure."""

MAX_CUT_BACK = 512
"""Characters given up at a cut for the sake of a clean one: longer than the secrets that are known by their shape, but
for those that are known by their beginning. Of a short limit it is half at most."""

REPLACEMENT = "\ufffd"
"""Stands for a character that cannot be kept: U+FFFD REPLACEMENT CHARACTER."""

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f]")
_DIGEST_DIGITS = 16
# hexadecimal digits as letters: no rule of normalize.identity takes them for an id that differs from run to run
_DIGEST_LETTERS = str.maketrans("0123456789abcdef", "ghijklmnopqrstuv")

# where a text may end, the best first: before its last word, at a character that no secret holds, after one that hardly
# any does; an opening tag goes, so that what stood before it is the last word
_ENDS = tuple(re.compile(f".*{end}", re.DOTALL) for end in (r"\s", r"(?:[\"'>]|(?=<))", r"[,;&|(){}\[\]?#@:]"))
_WORD = re.compile(r"\S+")
# a word whose next one may be its value: `password:`, `=>`, `--token`, `Bearer`, `passwd`
_ANNOUNCING = re.compile(
    r"^[\"'(]*-|[:=>]\\?[\"']?$|^[\"'(]*(?:bearer|basic|token|digest|negotiate|apikey|passwd)[\"']?$", re.IGNORECASE
)
# where a line without blanks may begin: after what ends a value of JSON or of a URL, or with a tag
_BEGINNING = re.compile(r"[,;&]|(?=<)")


class HeadTail:
    """Keeps the first `head` and the last `tail` (both positive) characters of a text that arrives in pieces.

    A longer text gives up some more at both cuts, so that neither leaves half a secret. How the text is cut into pieces
    changes nothing. The memory it takes is bounded by the two limits and the largest piece, never by the length of the
    text.
    """

    __slots__ = ("_head", "_head_limit", "_head_room", "_pieces", "_pieces_length", "_tail_limit", "_total")

    def __init__(self, head: int, tail: int) -> None:
        self._head: list[str] = []
        self._head_limit = self._head_room = head
        self._tail_limit = tail
        self._pieces: list[str] = []
        self._pieces_length = 0
        self._total = 0

    def add(self, piece: str) -> None:
        """Append `piece` to the text."""
        self._total += len(piece)
        if self._head_room:
            self._head.append(piece[: self._head_room])
            rest = piece[self._head_room :]
            self._head_room -= len(self._head[-1])
            piece = rest
        if not piece:
            return
        self._pieces.append(piece[-self._tail_limit :])
        self._pieces_length += len(self._pieces[-1])
        # trimmed now and then only: trimming at each piece would copy the tail for each line of a log
        if self._pieces_length > 4 * self._tail_limit:
            self._pieces = [self._tail()]
            self._pieces_length = len(self._pieces[0])

    @property
    def ends(self) -> tuple[int, int]:
        """How many characters are kept at most: of the beginning, and of the end."""
        return self._head_limit, self._tail_limit

    def leave_out(self, count: int) -> None:
        """Append `count` characters that come after the head and before the last `tail` ones, without having them."""
        self._total += count

    def _tail(self) -> str:
        return "".join(self._pieces)[-self._tail_limit :]

    def text(self) -> str:
        """Return the kept text without surrounding blanks; a marker says how much is missing in between."""
        head, tail = "".join(self._head), self._tail()
        missing = self._total - len(head) - len(tail)
        if missing <= 0:
            return (head + tail).replace("\x00", REPLACEMENT).strip()
        head, tail = _without_half_an_end(head), tail[_clean_beginning(tail) :]
        missing = self._total - len(head) - len(tail)
        return f"{head}\n[... {missing} characters left out ...]\n{tail}".replace("\x00", REPLACEMENT).strip()


def failure_text_buffer() -> HeadTail:
    """Return an empty accumulator for one failure's text."""
    return HeadTail(MAX_FAILURE_TEXT // 2, MAX_FAILURE_TEXT - MAX_FAILURE_TEXT // 2)


def output_buffer() -> HeadTail:
    """Return an empty accumulator for one captured output."""
    return HeadTail(MAX_OUTPUT_HEAD, MAX_OUTPUT_TAIL)


def bounded(text: str, limit: int = MAX_ATTRIBUTE) -> str:
    """Return `text` without C0 controls other than tab and newline, cut cleanly to `limit` characters at most."""
    kept = _CONTROLS.sub("", text[:limit])
    return kept if len(text) <= limit else _without_half_an_end(kept)


def cut(text: str, limit: int = MAX_ATTRIBUTE) -> str:
    """Return `text`, which has no controls but tab and newline, cut cleanly to `limit` characters at most."""
    return text if len(text) <= limit else _without_half_an_end(text[:limit])


def identity_text(text: str) -> str:
    """Return `text` fit to identify something: no C0 controls but tab and newline, MAX_ATTRIBUTE at most.

    Two long texts that differ only beyond the limit stay apart: the cut is marked with a digest of the whole.
    """
    if not text.isprintable():
        text = _CONTROLS.sub("", text)
    if len(text) <= MAX_ATTRIBUTE:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:_DIGEST_DIGITS]
    kept = _without_half_an_end(text[: MAX_ATTRIBUTE - _DIGEST_DIGITS - 1])
    return f"{kept}#{digest.translate(_DIGEST_LETTERS)}"


def first_line(text: str) -> str:
    """Return the first line of `text` that is not blank, stripped and bounded; '' where there is none."""
    stripped = text.lstrip()
    newline = stripped.find("\n")
    return bounded(stripped if newline < 0 else stripped[:newline]).strip()


def _without_half_an_end(text: str) -> str:
    """Return `text`, which was cut at its end, without what may be the first half of a secret.

    What is announced, as in `password=hunter2`, is recognised in halves, too; what has a known shape or is known by
    what follows, as in `://joe:hunter2@`, is not. A run of letters and digits longer than MAX_CUT_BACK stays.
    """
    window = text[len(text) - min(MAX_CUT_BACK, len(text) // 2) :]
    for pattern in _ENDS:
        if (found := pattern.match(window)) is not None:
            return text[: len(text) - len(window) + found.end()].rstrip()
    return text


def _clean_beginning(text: str) -> int:
    """Return where `text`, which was cut at its beginning, begins without what may be the second half of a secret.

    That is a whole line where one begins in its first half. Else the first word goes, the next, which it may have
    announced, and whatever the last of these may announce. What is half of letters and digits alone stays.
    """
    newline = text.find("\n")
    if 0 <= newline < len(text) // 2:
        return newline + 1
    window = text[: len(text) // 2]
    # a text that begins with a blank begins with a word that nobody sees
    gone = 1 if window[:1].isspace() else 0
    announced = False
    for word in _WORD.finditer(window):
        if gone >= 2 and not announced and word[0][0] not in ":=":
            return word.start()
        gone += 1
        announced = _ANNOUNCING.search(word[0]) is not None
    found = _BEGINNING.search(window, 1)
    return found.end() if found is not None else 0
