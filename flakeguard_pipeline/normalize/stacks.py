"""Stacks in the text of a failure: which frames say where it broke, in each language's own way.

Belongs here: recognising frames, telling application frames from machinery, and what varies in their names.
Does not belong here: what a message says (see `signatures`). Every pattern is matched against one line, with
possessive or bounded quantifiers, so reading a text takes time linear in its length.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

MAX_FRAMES = 5
"""Frames of a stack that count: the innermost ones say where it broke, the rest is how the test got there."""

MAX_LINES = 1_000
"""Lines of a text that are read: more than the text of one failure that is kept can hold frames."""

MAX_LINE = 2_000
"""Characters of one line that are read: a longer line is data, not a frame."""

MAX_SAID = 5
"""Lines that count of what a failure says within its stack: enough for an assertion with both its values."""


@dataclass(frozen=True, slots=True)
class Language:
    """A kind of stack: its name and the frames in it that are no place in anybody's application.

    `machinery` are the beginnings of functions or, for Python and JavaScript, the names of packages.
    """

    name: str
    machinery: tuple[str, ...]


def _language(name: str, *machinery: str) -> Language:
    return Language(name, tuple(word for words in machinery for word in words.split()))


JAVA = _language(
    "Java, Kotlin, Scala",
    # language runtimes, reflection
    "java. javax. jdk. sun. com.sun.proxy. kotlin. kotlinx.coroutines. _COROUTINE. scala. groovy.lang.",
    "org.codehaus.groovy. org.apache.groovy.",
    # test runners
    "org.junit. junit. org.testng. org.apache.maven. org.gradle. worker.org.gradle. com.intellij. org.scalatest.",
    "sbt. munit. io.kotest. org.spockframework.",
    # assertions and mocks
    "org.hamcrest. org.assertj. org.opentest4j. org.scalactic. com.google.common.truth. org.awaitility. org.mockito.",
    "net.bytebuddy. org.powermock.",
)
PYTHON = _language(
    "Python",
    "_pytest pytest pluggy xdist hypothesis nose nose2 unittest2 testtools twisted/trial robot behave tox coverage",
    "hamcrest assertpy sure mock",
)
JAVASCRIPT = _language(
    "JavaScript, TypeScript",
    "jest @jest expect jasmine mocha chai karma vitest @vitest vite tinypool ava tap @tapjs playwright @playwright",
    "cypress @testing-library sinon should power-assert ts-node ts-jest babel @babel @swc tslib regenerator-runtime",
    "source-map-support zone.js",
)
GO = _language(
    "Go",
    "testing. runtime. runtime/ panic reflect. internal/ sync. syscall. os/signal. github.com/stretchr/testify/",
    "github.com/onsi/ginkgo github.com/onsi/gomega gotest.tools/",
)
DOTNET = _language(
    ".NET",
    "System. InvokeStub_ Microsoft.VisualStudio.Test Microsoft.TestPlatform Microsoft.FSharp. Xunit. NUnit. MSTest.",
    "TUnit. FluentAssertions. AwesomeAssertions. Shouldly. Moq. NSubstitute. Castle.DynamicProxy. Castle.Proxies.",
)
RUST = _language(
    "Rust",
    "core:: std:: alloc:: test:: panic_unwind:: rust_begin_unwind rust_panic __rust_ backtrace:: pretty_assertions::",
)
LANGUAGES = (JAVA, PYTHON, JAVASCRIPT, GO, DOTNET, RUST)
"""The stacks that are recognised. A text may hold several, for instance of a Java test that ran a script."""

_APPLICATION, _DEPENDENCY, _MACHINERY = range(3)


@dataclass(slots=True)
class Stack:
    """What the stacks in a text tell: `frames`, innermost first, and what the failure says besides its message.

    `cause` is the type and message of the root cause where there is one; `said` are the lines that carry the
    message in formats whose reports have no other place for it.
    """

    frames: tuple[str, ...] = ()
    cause: str = ""
    said: tuple[str, ...] = ()


@dataclass(slots=True)
class _Section:
    """One exception of a chain: its header and its frames, innermost first, each with its rank."""

    header: str = ""
    frames: list[tuple[int, str]] = field(default_factory=list)
    application: int = 0

    def add(self, rank: int, function: str, file: str) -> None:
        frame = (rank, f"{function} ({file})")
        # recursion and overloads repeat a frame as often as chance will have it
        if not self.frames or self.frames[-1] != frame:
            self.frames.append(frame)
            self.application += rank == _APPLICATION


def stack_of(text: str) -> Stack:
    """Return what the stacks in `text` tell; nothing where there is none.

    Application frames count. Only where there are none, those of installed packages do, and only where there
    are none of these either, those of runtimes and test runners do.
    """
    found = [stack for reader, lines in _readers(text) if (stack := reader(lines)) is not None]
    if len(found) == 1:
        return found[0]
    return Stack(
        tuple(frame for stack in found for frame in stack.frames),
        "\n".join(stack.cause for stack in found if stack.cause),
        tuple(line for stack in found for line in stack.said),
    )


def _readers(text: str) -> Iterable[tuple[Callable[[list[str]], Stack | None], list[str]]]:
    lines = text.splitlines()[:MAX_LINES]
    if len(text) > MAX_LINE:
        lines = [line if len(line) <= MAX_LINE else line[:MAX_LINE] for line in lines]
    if "panicked at " in text:
        yield _rust, lines
    if 'File "' in text or ".py:" in text or ".pyx:" in text:
        yield _python, lines
    if ".go:" in text:
        yield _go, lines
    yield _at, lines


_ASSERTS = re.compile(r"assert|expect|fail|should|truth|hamcrest", re.IGNORECASE)


def _chosen(sections: Iterable[_Section]) -> tuple[str, ...]:
    frames = [frame for section in sections for frame in section.frames]
    if not frames:
        return ()
    ranks = [rank for rank, _ in frames]
    best = min(ranks)
    chosen = tuple(frame for rank, frame in frames if rank == best)[:MAX_FRAMES]
    first = ranks.index(best)
    if best == _APPLICATION and first and _ASSERTS.search(frames[first - 1][1]):
        # assertTrue and assertNotNull without a message differ in nothing else; packages move between versions
        function = frames[first - 1][1].partition(" (")[0]
        chosen = (function[function.rfind(".") + 1 :], *chosen)
    return chosen


def _basename(path: str) -> str:
    return path[max(path.rfind("/"), path.rfind("\\")) + 1 :]


# -- Java, JavaScript and .NET: a frame is a line that begins with "at" --------------------------------------

_JAVA_FRAME = re.compile(
    r"\s*+at ([^()\s][^()]*+)\(((?:[\w$+-]++\.(?:java|kts?|scala|groovy|clj|aj)|SourceFile|Native Method|Unknown Source"
    r"|<generated>)?+)(?::[0-9]{1,9}|:\?)?\)(?:\s*+~?\[.*+)?\s*+$"
)
_JAVA_SYNTHETIC = ("$$Lambda", "$Proxy", "$$EnhancerBy", "$$FastClassBy", "$$SpringCGLIB", "GeneratedMethodAccessor")
_JAVA_LAMBDA = re.compile(r"\$\$Lambda[^.]*+")
_JAVA_COUNTERS = re.compile(r"(?<=\$)[0-9]++|(?<=\$Proxy)[0-9]++|(?<=Accessor)[0-9]++|(?<=\$\$)[0-9a-f]{6,}+")
_JS_PLACE = re.compile(r"(?::[0-9]{1,9}){1,2}$")
_JS_FILE = re.compile(r"\.(?:[cm]?[jt]sx?|vue|svelte|html?|coffee)$")
_JS_HASH = re.compile(
    # webpack: main.3f2a9c1b.js; vite: index-BX9s_2kd.js
    r"[.-](?=[a-f]{0,40}[0-9])[0-9a-f]{6,40}+(?=\.)|[.-](?=[A-Za-z_-]{0,7}[0-9])[\w-]{8}(?=\.[a-z]{2,3}$)"
)
_JS_MACHINERY = re.compile(
    r"^(?:node:|internal/|native$|index [0-9]|<anonymous>|\[native code\])|node_modules[/\\](?:"
    + "|".join(map(re.escape, JAVASCRIPT.machinery))
    + r")(?![\w.])|\b(?:jasmine|mocha|karma)[\w.-]{0,40}+\.js$"
)
_JS_OWNER = re.compile(r"^(?:async[ *]|new )*+(?:(?:Object|Context|exports|module\.exports)\.)?+")
_JS_ALIAS = re.compile(r" \[as [^\]]{0,200}+\]")
_FIREFOX_FRAME = re.compile(r"\s*+([^\s@()]{0,200}+)@(\S{1,1000}:[0-9]{1,9}:[0-9]{1,9}|\[native code\])\s*+$")
# "at", as the .NET runtimes of the world write it
_DOTNET_AT = "at|bei|à|en|in|em|w|в|v|vid|ved|hos|na|konum:|場所|在|於|위치:"
_DOTNET_FRAME = re.compile(
    rf"\s*+(?:{_DOTNET_AT}) ([^\s()./\\:]++(?:\.[^\s()./\\:]*+)++)\([^()]*+\)"
    r"(?: [^\W\d]{1,12}:? (.{1,1000}?):[^\W\d]{1,12} ?[0-9]{1,9})?\.?\s*+$"
)
_DOTNET_STATE = re.compile(r"<(\w{1,200})>d(?:__[0-9]{1,9})?\.MoveNext$|\+?<>c(?:__DisplayClass[0-9_]{1,20})?[.+]")
_DOTNET_LAMBDA = re.compile(r"<([\w.]{1,200})>[bg]__(?:([A-Za-z_]\w{0,200}+)\|)?[0-9_]{1,20}")
_AT_LINE = re.compile(rf"\s*+(?:{_DOTNET_AT})\s")
_CAUSE = re.compile(r"(\s*+)(?:(Suppressed)|Caused by|\[cause\]):\s*+(.*+)$")
_INNER = re.compile(r"\s*+-{2,}\s?Inner (?:Stack Trace|Exception)", re.IGNORECASE)
_LEFT_OUT = "[... "
"""Begins the line that stands for the middle of a long text: a dump goes on behind it."""
_THREAD = re.compile(r"\s*+\"[^\"]{0,500}+\" .{0,200}?(?:prio|tid|nid)=")


def _at(lines: list[str]) -> Stack | None:
    sections = [_Section()]
    chained = any(_INNER.match(line) or _CAUSE.match(line) for line in lines if "nner" in line or "ause" in line)
    suppressed = -1
    for line in _without_dumps(lines):
        if _AT_LINE.match(line):
            # where the indentation is lost, a suppressed exception lasts until the next cause
            if suppressed == 0 or (suppressed > 0 and _indent(line) > suppressed):
                continue
            suppressed = -1
            _add_at(sections[-1], line)
            if not chained and sections[-1].application >= MAX_FRAMES:
                break
        elif "@" in line and (found := _FIREFOX_FRAME.match(line)):
            _add_javascript(sections[-1], found[1] or "<anonymous>", found[2])
        elif " ---> " in line:
            sections[-1].header = line.rpartition(" ---> ")[2].strip()
        elif _INNER.match(line):
            sections.append(_Section())
        elif found := _CAUSE.match(line):
            indent = len(found[1])
            if found[2]:
                suppressed = indent
            elif suppressed <= 0 or indent < suppressed:
                suppressed = -1
                sections.append(_Section(found[3].strip()))
    sections.reverse()
    frames = _chosen(sections)
    return Stack(frames, sections[0].header) if frames else None


def _without_dumps(lines: list[str]) -> Iterable[str]:
    """Leave out the stacks of other threads: a dump begins with a thread's name and ends with a blank line."""
    in_dump = dumped = False
    for line in lines:
        if '"' in line and _THREAD.match(line):
            in_dump = dumped = True
        elif dumped and line.startswith(_LEFT_OUT):
            in_dump = True
        elif not in_dump:
            yield line
        elif not line.strip():
            in_dump = False


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _add_at(section: _Section, line: str) -> None:
    if found := _JAVA_FRAME.match(line):
        _add_java(section, found[1], found[2])
    elif found := _DOTNET_FRAME.match(line):
        _add_dotnet(section, found[1], found[2] or "")
    elif (place := line.strip()).startswith("at "):
        place = place[3:]
        function = "<anonymous>"
        if place.endswith(")") and " (" in place:
            function, _, place = place[:-1].partition(" (")
        place = place.removeprefix("async ")
        if _JS_PLACE.search(place) or _JS_MACHINERY.match(place):
            _add_javascript(section, function, place)


def _add_java(section: _Section, function: str, file: str) -> None:
    synthetic = "$" in function and any(mark in function for mark in _JAVA_SYNTHETIC)
    if "$" in function:
        function = _JAVA_LAMBDA.sub("$$Lambda", function)
    if "/" in function:  # the class loader and the module
        function = function.rpartition("/")[2]
    machinery = synthetic or function.startswith(JAVA.machinery)
    if "$" in function or "Accessor" in function:
        function = _JAVA_COUNTERS.sub("", function)
    section.add(_MACHINERY if machinery else _APPLICATION, function, file if "." in file else "")


def _add_javascript(section: _Section, function: str, place: str) -> None:
    path = _JS_PLACE.sub("", place)
    if "?" in path or "#" in path:
        path = path.replace("#", "?").partition("?")[0]
    is_code = _JS_FILE.search(path) is not None
    if not is_code and "://" not in path and not _JS_MACHINERY.match(place):
        return
    rank = _DEPENDENCY if "node_modules" in path else _APPLICATION
    if _JS_MACHINERY.search(path):
        rank = _MACHINERY
    function = _JS_OWNER.sub("", _JS_ALIAS.sub("", function) if "[" in function else function)
    section.add(rank, function, _JS_HASH.sub("", _basename(path)) if is_code else "")


def _add_dotnet(section: _Section, function: str, path: str) -> None:
    if "<" in function:
        function = _DOTNET_LAMBDA.sub(
            lambda found: f"{found[1]}.{found[2] or 'lambda'}",
            _DOTNET_STATE.sub(lambda found: found[1] or ".", function),
        ).replace("..", ".")
    section.add(_MACHINERY if function.startswith(DOTNET.machinery) else _APPLICATION, function, _basename(path))


# -- Python: tracebacks, and the styles of pytest ------------------------------------------------------------

_PY_FRAME = re.compile(r"[\s|]*+File \"([^\"]{1,1000}+)\", line [0-9]{1,9}(?:, in (\S.{0,300}))?")
_PYTEST_PLACE = re.compile(r"\s*+((?:[A-Za-z]:)?+[^\s:\"'][^:\"]{0,500}+):[0-9]{1,9}:(?: in (\S++)| [\w.]*+)?\s*+$")
_PYTEST_DEF = re.compile(r"\s*+(?:async )?def (\w++)\(")
_PYTEST_ERROR = re.compile(r"\s*+E {1,8}(\S.*+)$")
_PY_CHAIN = ("The above exception was the direct cause", "During handling of the above exception")
_PY_MACHINERY = re.compile(
    r"(?:site|dist)-packages[/\\](?:"
    + "|".join(re.escape(name).replace("/", r"[/\\]") for name in PYTHON.machinery)
    + r")[_./\\]|[/\\]lib(?:64)?[/\\]python[0-9.]{1,8}[/\\](?!(?:site|dist)-packages)"
    r"|[/\\]Python.{0,60}[/\\]Lib[/\\](?!site-packages)|^<frozen ",
)


def _python(lines: list[str]) -> Stack | None:
    sections = [_Section()]
    said: list[str] = []
    # the first line after the frames of a traceback that is no source: the type and the message
    error = ""
    in_traceback = False
    function = ""
    for line in lines:
        stripped = line.strip()
        if not stripped:
            continue
        if found := _PY_FRAME.match(line):
            _add_python(sections[-1], found[1], found[2] or "")
            in_traceback, error = True, ""
        elif in_traceback and line[0] not in " \t|":
            in_traceback, error = False, stripped
        elif found := _PYTEST_PLACE.match(line):
            if found[1].endswith((".py", ".pyx", ".pyi")):
                _add_python(sections[-1], found[1], found[2] or function)
                function = ""
        elif stripped.startswith(_PY_CHAIN):
            sections[-1].header = said[0] if said else error
            sections.append(_Section())
            said = []
            error = function = ""
        elif found := _PYTEST_ERROR.match(line):
            said.append(found[1])
        elif not function and (found := _PYTEST_DEF.match(line)):
            # an entry of pytest shows its function from the beginning: what is defined in it comes later
            function = found[1]
    for section in sections:
        section.frames.reverse()
    frames = _chosen(sections)
    if not frames:
        return None
    if not said and error:
        said = [error]
    return Stack(frames, sections[0].header if len(sections) > 1 else "", tuple(said[:MAX_SAID]))


def _add_python(section: _Section, path: str, function: str) -> None:
    if _PY_MACHINERY.search(path):
        rank = _MACHINERY
    else:
        rank = _DEPENDENCY if "site-packages" in path or "dist-packages" in path else _APPLICATION
    section.add(rank, function.strip(), _basename(path))


# -- Go: goroutines, the testing package, testify ------------------------------------------------------------

_GO_PLACE = re.compile(r"\s++(\S.{0,1000}\.(?:go|s)):[0-9]{1,9}(?: \+0x[0-9a-f]{1,16})?\s*+$")
_GO_TEST = re.compile(r"\s*+([\w./-]{1,500}\.go):[0-9]{1,9}(?::[0-9]{1,9})?: ?(.*+)$")
_GO_CLOSURE = re.compile(r"\.(?:func|gowrap)[0-9]{1,9}(?:\.[0-9]{1,9})*+")
_GO_TRACE = re.compile(r"\s*+(?:Error Trace:)?\s*+((?:[A-Za-z]:)?[^\s:]{1,1000}\.go):[0-9]{1,9}\s*+$")
_GO_PANIC = re.compile(r"\s*+((?:panic|fatal error): .*?)(?: \[recovered.{0,40}\])?\s*+$")
_GO_LABEL = re.compile(r"\s*+(Error Trace|Error|Test|Messages):\s*+(.*+)$")
_GO_LAST_LOGGED = 3
"""Lines of t.Log and t.Error that count: nothing tells the two apart, and an error comes late."""


def _go(lines: list[str]) -> Stack | None:
    section = _Section()
    said: list[str] = []
    logged: list[str] = []
    label = previous = ""
    goroutines = 0
    for line in lines:
        if line.startswith("goroutine ") and line.rstrip().endswith("]:"):
            goroutines += 1
            if goroutines > 1:
                break
        elif found := _GO_LABEL.match(line):
            label = found[1]
            _go_labelled(section, said, label, line, found[2])
        elif found := _GO_TEST.match(line):
            label = ""
            section.add(_APPLICATION, "", _basename(found[1]))
            logged.append(found[2].strip())
        elif label:
            _go_labelled(section, said, label, line, line.strip())
        elif found := _GO_PLACE.match(line):
            _add_go(section, previous.strip(), found[1])
        elif not said and (found := _GO_PANIC.match(line)):
            said.append(found[1])
        previous = line
    said += [line for line in logged[-_GO_LAST_LOGGED:] if line]
    frames = _chosen([section])
    return Stack(frames, "", tuple(said[:MAX_SAID])) if frames else None


def _go_labelled(section: _Section, said: list[str], label: str, line: str, value: str) -> None:
    if label == "Error Trace":
        if found := _GO_TRACE.match(line):
            section.add(_APPLICATION, "", _basename(found[1]))
    elif label in ("Error", "Messages") and value and len(said) < MAX_SAID:
        said.append(value)


def _add_go(section: _Section, function: str, path: str) -> None:
    # who started a goroutine is no caller
    if function.startswith("created by ") or "(" not in function:
        return
    function = function[: function.rfind("(")]
    if function.startswith(GO.machinery):
        rank = _MACHINERY
    else:
        rank = _DEPENDENCY if "/pkg/mod/" in path or "/vendor/" in path else _APPLICATION
    section.add(rank, _GO_CLOSURE.sub(".func", function), _basename(path))


# -- Rust: panics and backtraces -----------------------------------------------------------------------------

_RUST_PANIC = re.compile(r"\s*+(?:thread '.{0,300}?' (?:\([0-9]{1,20}\) )?)?panicked at (.*+)$")
_RUST_PLACE = re.compile(r"(?:at )?([^\s:'](?:[^:']|:(?![0-9])){0,1000}+):[0-9]{1,9}:[0-9]{1,9}:?$")
_RUST_OLD = re.compile(r"(.*)', ([^\s:']{1,1000}+):[0-9]{1,9}:[0-9]{1,9}$")
_RUST_FRAME = re.compile(r"\s*+[0-9]{1,4}: ++(?:0x[0-9a-f]{1,16} - )?(\S.*+)$")
_RUST_HASH = re.compile(r"::h[0-9a-f]{16}$")
_RUST_END = ("note: ", "stack backtrace:", "thread '")


def _rust(lines: list[str]) -> Stack | None:
    section = _Section()
    said: list[str] = []
    talking = False
    function = ""
    for line in lines:
        stripped = line.strip()
        if not section.frames and not talking and (found := _RUST_PANIC.match(line)):
            talking = not _rust_panic(section, said, found[1].strip())
        elif talking and not stripped.startswith(_RUST_END):
            if not section.frames and (found := _RUST_OLD.match(stripped)):
                said.append(found[1])
                _add_rust(section, "", found[2])
                talking = False
            elif stripped:
                said.append(stripped)
        elif stripped.startswith("at ") and function:
            place = _RUST_PLACE.match(stripped)
            _add_rust(section, function, place[1] if place else "")
            function = ""
        else:
            talking = False
            if function:
                _add_rust(section, function, "")
            found = _RUST_FRAME.match(line)
            function = _RUST_HASH.sub("", found[1].strip()) if found else ""
    if function:
        _add_rust(section, function, "")
    frames = _chosen([section])
    return Stack(frames, "", tuple(said[:MAX_SAID])) if frames else None


def _rust_panic(section: _Section, said: list[str], rest: str) -> bool:
    """Read what follows "panicked at"; true if it is complete, as in the old form on one line."""
    if found := _RUST_OLD.match(rest):
        said.append(found[1].removeprefix("'"))
        _add_rust(section, "", found[2])
        return True
    if found := _RUST_PLACE.match(rest):
        _add_rust(section, "", found[1])
    else:
        said.append(rest.removeprefix("'"))
    return False


def _add_rust(section: _Section, function: str, path: str) -> None:
    bare = function.lstrip("<&")
    # functions of C, such as main and clone, have no path
    if "/rustc/" in path or (function and ("::" not in function or bare.startswith(RUST.machinery))):
        rank = _MACHINERY
    else:
        rank = _DEPENDENCY if "/.cargo/" in path else _APPLICATION
    section.add(rank, function, _basename(path))
