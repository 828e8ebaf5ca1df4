"""A Jenkins of the shapes that its remote access API has, for tests: folders, jobs, builds, artifacts, test results.

Answers are cut down to what `tree` names, with its ranges, so that a source that forgets a field notices.
"""

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.support.provider_server import Answer, ProviderServer, Request, json_answer, serving

USER = "reader"
TOKEN = "11planted5ecret70ken"
BASIC = "Basic " + base64.b64encode(f"{USER}:{TOKEN}".encode()).decode()
SIGNATURE = "planted-signature"
SHA = "4759ae1c74b8b9a505fcf5ff4929927e1c90428a"
LIBRARY_SHA = "bcc20c2f138c91c24174e1621820ced1fe13f944"
FIRST = 1_772_434_800_000
"""Milliseconds: 2026-03-02T07:00:00Z, when build 0 would have started. Each later build starts an hour later."""

HOUR = 3_600_000

BUILDS = r"allBuilds"
REPORT = r"testReport/api/json"
ARTIFACTS = r"/artifact/"

# what Jenkins answers without a permission
FORBIDDEN = Answer(403, b"<html>reader is missing the Overall/Read permission</html>", {"content-type": "text/html"})
HIDDEN = Answer(404, b"<html>Not Found</html>", {"content-type": "text/html"})

MULTIBRANCH = "org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject"
FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"
PIPELINE = "org.jenkinsci.plugins.workflow.job.WorkflowJob"
MATRIX = "hudson.matrix.MatrixProject"
PRIMARY = {"_class": "jenkins.scm.api.metadata.PrimaryInstanceMetadataAction"}
HAS_TESTS = {"_class": "hudson.tasks.junit.TestResultAction", "urlName": "testReport", "totalCount": 3, "failCount": 1}


def caused_by(name: str) -> dict[str, Any]:
    return {"_class": "hudson.model.CauseAction", "causes": [{"_class": name, "shortDescription": "Started by ..."}]}


def revision(
    branch: str = "refs/remotes/origin/main",
    sha: str = SHA,
    remote: str = "https://bot:hunter2@git.example.com/acme/shop.git",
) -> dict[str, Any]:
    return {
        "_class": "hudson.plugins.git.util.BuildData",
        "lastBuiltRevision": {"SHA1": sha, "branch": [{"SHA1": sha, "name": branch}]},
        "remoteUrls": [remote],
        "scmName": "",
    }


def build(number: int, *actions: dict[str, Any], artifacts: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    return {
        "_class": "org.jenkinsci.plugins.workflow.job.WorkflowRun",
        "number": number,
        "timestamp": FIRST + number * HOUR,
        "duration": 90_500,
        "result": "SUCCESS",
        "building": False,
        "url": f"https://ci.example.com/job/somewhere/{number}/",
        "builtOn": "agent-3",
        "actions": [*actions, {}],
        "artifacts": [{"fileName": path.rpartition("/")[2], "relativePath": path} for path in artifacts],
        **more,
    }


def case(name: str, status: str = "PASSED", **more: Any) -> dict[str, Any]:
    return {
        "className": "com.acme.CartTest",
        "name": name,
        "duration": 0.25,
        "status": status,
        "errorDetails": None,
        "errorStackTrace": None,
        "skippedMessage": None,
        "stdout": None,
        "stderr": None,
        "age": 0,
        **more,
    }


def suite(name: str, *cases: dict[str, Any], blocks: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "cases": list(cases),
        "duration": 1.5,
        "timestamp": "2026-03-02T07:00:00",
        "stdout": None,
        "stderr": None,
        "enclosingBlockNames": list(blocks),
        **more,
    }


@dataclass
class JenkinsServer:
    """What the server holds: items by full name (their class), builds by job, files and test results by path."""

    prefix: str = ""
    items: dict[str, str] = field(default_factory=dict)
    primary: str = ""
    builds: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    storage: str = ""
    http: ProviderServer = field(init=False)

    @property
    def url(self) -> str:
        return self.http.url + self.prefix

    def respond(self, request: Request) -> Answer:
        if not request.path.startswith(self.prefix + "/"):
            return HIDDEN
        if request.headers.get("authorization") != BASIC:
            return FORBIDDEN
        path = request.path.removeprefix(self.prefix + "/")
        if "/artifact/" in path:
            return self._file(path)
        if not path.endswith("api/json"):
            return HIDDEN
        found = self._object(path.removesuffix("api/json"))
        return HIDDEN if found is None else json_answer(cut_down(found, request.query["tree"]))

    def _file(self, path: str) -> Answer:
        place, _, name = path.partition("/artifact/")
        key = f"{full_name(place)}/{unquote(name)}"
        if key not in self.files:
            return HIDDEN
        if self.storage:
            return Answer(302, b"", {"location": f"{self.storage}/{key}?signature={SIGNATURE}"})
        return Answer(200, self.files[key])

    def _object(self, path: str) -> dict[str, Any] | None:
        if not path:
            return {"_class": "hudson.model.Hudson", "jobs": []}
        name = full_name(path)
        if name.endswith("/testReport"):
            return self.results.get(name.removesuffix("/testReport"))
        if name in self.builds:
            return {"_class": self.items.get(name, PIPELINE), "allBuilds": self.builds[name]}
        job, _, number = name.rpartition("/")
        for each in self.builds.get(job, []):
            if str(each.get("number")) == number:
                return each
        return self._folder(name) if name in self.items else None

    def _folder(self, name: str) -> dict[str, Any]:
        inside = [
            each.removeprefix(f"{name}/")
            for each in sorted({*self.items, *self.builds})
            if each.startswith(f"{name}/") and "/" not in each.removeprefix(f"{name}/")
        ]
        jobs = [{"name": leaf, "actions": [{}, PRIMARY] if leaf == self.primary else []} for leaf in inside]
        return {"_class": self.items[name], "jobs": jobs}


def full_name(path: str) -> str:
    """Return `a/b/12` of /job/a/job/b/12/."""
    return "/".join(unquote(part) for part in re.sub(r"(^|/)job/", r"\1", path).split("/") if part)


def cut_down(value: Any, tree: str) -> Any:
    """Return what a `tree` asks of a value: `a,b[c,d]{0,10}`."""
    if isinstance(value, list):
        return [cut_down(each, tree) for each in value]
    if not isinstance(value, dict):
        return value
    # the class is always told
    kept = {"_class": value["_class"]} if "_class" in value else {}
    for name, inner, limits in _fields(tree):
        if name not in value:
            continue
        found = value[name]
        if limits and isinstance(found, list):
            start, end = (int(each) for each in limits.split(","))
            found = found[start:end]
        kept[name] = cut_down(found, inner) if inner else found
    return kept


def _fields(tree: str) -> Iterator[tuple[str, str, str]]:
    depth, start = 0, 0
    for position, character in enumerate(tree + ","):
        depth += (character in "[{") - (character in "]}")
        if character == "," and depth == 0:
            match = re.fullmatch(r"(\w+)(?:\[(.*)\])?(?:\{(\d+,\d+)\})?", tree[start:position])
            assert match is not None, f"Jenkins would not read the tree {tree!r}"
            yield match[1], match[2] or "", match[3] or ""
            start = position + 1


def stored(jenkins: JenkinsServer, request: Request) -> Answer:
    """Answer as the object storage that an artifact manager keeps its files in."""
    if request.query.get("signature") != SIGNATURE:
        return Answer(403, b"<Error/>")
    return Answer(200, jenkins.files[unquote(request.path)[1:]], {"etag": '"1"'})


@contextmanager
def jenkins_serving(jenkins: JenkinsServer | None = None) -> Iterator[JenkinsServer]:
    """Yield a running Jenkins."""
    jenkins = jenkins or JenkinsServer()
    with serving(jenkins.respond) as server:
        jenkins.http = server
        yield jenkins
