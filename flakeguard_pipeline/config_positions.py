"""Where in the configuration file something stands, so that what is wrong with it is told with line and column.

Belongs here: YAML nodes and their places. Does not belong here: what a configuration means (settings.py).
"""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel

from flakeguard_pipeline.domain.errors import ConfigurationError

Location = Sequence[str | int]
"""A path into the configuration: keys, and numbers of items from 0."""

MERGE_KEY = "<<"


@dataclass(frozen=True)
class Document:
    """A configuration file that was read: its content, and the nodes that tell where each part stands."""

    path: str
    content: Any
    root: yaml.Node | None

    def fault(self, location: Location, text: str, *, at_key: bool = False) -> str:
        """Return `file:line:column: sources[1].token: text`; `at_key` points at the key, not at its value."""
        node = self._node(location, at_key=at_key)
        mark = node.start_mark if node is not None else None
        where = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
        name = shown(location)
        return f"{self.path}{where}: {name}: {text}" if name else f"{self.path}{where}: {text}"

    def _node(self, location: Location, *, at_key: bool) -> yaml.Node | None:
        """Return the node of a location, or of the nearest part of it that is there."""
        node = self.root
        for depth, part in enumerate(location):
            if isinstance(node, yaml.MappingNode):
                # the last one: a key of one's own stands behind those that were merged in
                pair = next((pair for pair in reversed(node.value) if pair[0].value == str(part)), None)
                if pair is None:
                    return node
                node = pair[0] if at_key and depth == len(location) - 1 else pair[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
            else:
                return node
        return node


def read_document(path: str, text: str) -> Document:
    """Read a configuration file.

    Raises:
        ConfigurationError: it is no valid YAML, names a key twice, or holds a NUL.
    """
    loader: yaml.SafeLoader | None = None
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        doubled = None if root is None else next(_doubled(root, (), set()), None)
        if doubled is not None:
            location, key = doubled
            mark = key.start_mark
            raise ConfigurationError(
                f"{path}:{mark.line + 1}:{mark.column + 1}: {shown(location)}: is there twice; keep one of them"
            )
        holder = None if root is None else next(_with_nul(root, (), set()), None)
        if holder is not None:
            location, scalar = holder
            mark = scalar.start_mark
            raise ConfigurationError(
                f"{path}:{mark.line + 1}:{mark.column + 1}: {shown(location)}: holds the character NUL, which neither "
                "databases nor file systems take; take it out"
            )
        content = None if root is None else loader.construct_document(root)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        # what stands between quotation marks in these may be a secret that was not quoted
        if problem.startswith(("found undefined alias", "found duplicate anchor", "could not determine a constructor")):
            problem = problem.partition(" '")[0] + "; put texts with special characters in quotation marks"
        text = f"{path}{where}: is no valid YAML: {problem}"
    except RecursionError:
        text = f"the configuration {path} is nested too deeply to be one"
    else:
        return Document(path, content, root)
    finally:
        if loader is not None:
            loader.dispose()
    # outside of the handlers: a parser's own error may quote the file
    raise ConfigurationError(text)


def _doubled(node: yaml.Node, location: tuple[str | int, ...], seen: set[int]) -> Iterator[tuple[Location, yaml.Node]]:
    if id(node) in seen:
        return  # an alias, or a circle of them
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _doubled(item, (*location, number), seen)
    elif isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != MERGE_KEY:
                if key.value in keys:
                    yield (*location, key.value), key
                keys.add(key.value)
                yield from _doubled(value, (*location, key.value), seen)


def _with_nul(node: yaml.Node, location: tuple[str | int, ...], seen: set[int]) -> Iterator[tuple[Location, yaml.Node]]:
    """Yield the texts in which an escape stands for NUL; as it is, it is no YAML."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode) and "\0" in node.value:
        yield location, node
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _with_nul(item, (*location, number), seen)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = key.value.replace("\0", "\ufffd") if isinstance(key, yaml.ScalarNode) else "?"
            yield from _with_nul(key, (*location, name), seen)
            yield from _with_nul(value, (*location, name), seen)


def shown(location: Location) -> str:
    """Return a location as a person writes it: `sources[1].token`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def likely(word: str, known: Sequence[str]) -> str:
    """Return `, did you mean ...?` where a known word is much like `word`, else ''."""
    close = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    return f", did you mean `{close[0]}`?" if close else ""


def known_keys(model: type[BaseModel], location: Location) -> list[str]:
    """Return the keys that the section at `location` may have, as the model of the whole configuration says."""
    annotations: list[Any] = [model]
    for part in location:
        annotations = [inner for each in annotations for inner in _inside(each, part)]
    fields = (item for each in annotations for kind in _models(each) for item in kind.model_fields.items())
    return sorted({field.alias or name for name, field in fields})


def _inside(annotation: Any, part: str | int) -> Iterator[Any]:
    for each in _alternatives(annotation):
        arguments = get_args(each)
        if get_origin(each) is tuple and isinstance(part, int):
            yield arguments[0]
        elif get_origin(each) is dict:
            yield arguments[1]
        elif isinstance(each, type) and issubclass(each, BaseModel):
            if part in each.model_fields:
                yield each.model_fields[str(part)].annotation
            elif part in tags(each):
                yield each


def _models(annotation: Any) -> list[type[BaseModel]]:
    return [each for each in _alternatives(annotation) if isinstance(each, type) and issubclass(each, BaseModel)]


def _alternatives(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for each in get_args(annotation):
            yield from _alternatives(each)
    else:
        yield annotation


def tags(model: type[BaseModel]) -> tuple[Any, ...]:
    """Return the words by which a section of this kind says what it is: what its key `kind` may be."""
    kind = model.model_fields.get("kind")
    return get_args(kind.annotation) if kind is not None and get_origin(kind.annotation) is Literal else ()
