"""Vectors of Vector Search: reads data files, and finds neighbours by comparing all of them.

Vertex AI searches approximately; here every neighbour is exact.
"""

import csv
import io
import json
import operator
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import ApiError, Status, invalid

if TYPE_CHECKING:
    import numpy as np

DEFAULT_DISTANCE = "DOT_PRODUCT_DISTANCE"
DISTANCES = (DEFAULT_DISTANCE, "COSINE_DISTANCE", "SQUARED_L2_DISTANCE", "L1_DISTANCE")
_LARGER_IS_NEARER = (DEFAULT_DISTANCE,)
_NUMBERS = ("value_int", "value_float", "value_double")
_OPERATORS = {
    "LESS": operator.lt,
    "LESS_EQUAL": operator.le,
    "EQUAL": operator.eq,
    "GREATER_EQUAL": operator.ge,
    "GREATER": operator.gt,
    "NOT_EQUAL": operator.ne,
}


def read_datapoints(uri: str, content: bytes) -> list[Document]:
    """Reads a data file: JSON lines, or CSV with the identifier first.

    Raises:
        ApiError: INVALID_ARGUMENT, naming the file and the line; UNIMPLEMENTED for Avro.
    """
    if uri.endswith(".avro"):
        raise ApiError(Status.UNIMPLEMENTED, f"{uri}: localvertex reads .json and .csv, not Avro.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise invalid(f"{uri} is not UTF-8: {error}.") from error
    if uri.endswith(".csv"):
        rows = enumerate(csv.reader(io.StringIO(text)), start=1)
        return [_checked(uri, at, lambda row=row: _from_row(row)) for at, row in rows if any(row)]
    lines = ((at, line) for at, line in enumerate(text.split("\n"), start=1) if line.strip())
    return [_checked(uri, at, lambda line=line: _from_json(json.loads(line))) for at, line in lines]


def _checked(uri: str, number: int, read: Any) -> Document:
    try:
        return read()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise invalid(f"{uri}, line {number}: not a datapoint ({error!r}).") from error


def _from_json(line: Document) -> Document:
    found: Document = {
        "datapoint_id": str(line["id"]),
        "feature_vector": [float(number) for number in line.get("embedding", ())],
        "restricts": [
            {
                "namespace": item["namespace"],
                "allow_list": item.get("allow", item.get("allow_list", [])),
                "deny_list": item.get("deny", item.get("deny_list", [])),
            }
            for item in line.get("restricts", ())
        ],
        "numeric_restricts": line.get("numeric_restricts", []),
    }
    if tag := line.get("crowding_tag"):
        found["crowding_tag"] = {"crowding_attribute": str(tag)}
    if sparse := line.get("sparse_embedding"):
        found["sparse_embedding"] = sparse
    if about := line.get("embedding_metadata"):
        found["embedding_metadata"] = about
    return found


def _from_row(row: Sequence[str]) -> Document:
    """Reads ID,NUMBER,...[,NAMESPACE=TOKEN][,NAMESPACE=!TOKEN][,crowding_tag=TAG]."""
    identifier, *cells = (cell.strip() for cell in row)
    numbers = [cell for cell in cells if "=" not in cell]
    restricts: dict[str, Document] = {}
    found: Document = {
        "datapoint_id": identifier,
        "feature_vector": [float(number) for number in numbers],
    }
    for cell in cells[len(numbers) :]:
        name, _, token = cell.partition("=")
        if name == "crowding_tag":
            found["crowding_tag"] = {"crowding_attribute": token}
            continue
        if name.startswith("#"):
            raise ValueError(f"{cell!r}: write numeric restricts as JSON")
        item = restricts.setdefault(name, {"namespace": name, "allow_list": [], "deny_list": []})
        item["deny_list" if token.startswith("!") else "allow_list"].append(token.lstrip("!"))
    return found | {"restricts": list(restricts.values())}


def check_datapoint(point: Document, dimensions: int) -> None:
    """Raises unless a datapoint fits its index.

    Raises:
        ApiError: INVALID_ARGUMENT.
    """
    identifier = point.get("datapoint_id", "")
    if not identifier:
        raise invalid("A datapoint has no datapoint_id.")
    size = len(point.get("feature_vector", ()))
    if size != dimensions:
        raise invalid(
            f"Datapoint {identifier!r} has {size} numbers; the index has {dimensions} dimensions."
        )


class Vectors:
    """The datapoints of an index, ready to be compared."""

    def __init__(self, points: Sequence[Document], config: Document) -> None:
        import numpy as np

        self.points = {point["datapoint_id"]: point for point in points}
        self._distance = config.get("distanceMeasureType", DEFAULT_DISTANCE)
        self._normed = config.get("featureNormType") == "UNIT_L2_NORM"
        self._ordered = list(self.points.values())
        rows = [point["feature_vector"] for point in self._ordered]
        self._matrix = self._prepared(np.asarray(rows, dtype=np.float32)) if rows else None

    def nearest(self, query: Document) -> list[Document]:
        """Returns the neighbours of a query, nearest first, each with its distance.

        Raises:
            ApiError: NOT_FOUND: the query names a datapoint that is not there; UNIMPLEMENTED.
        """
        import numpy as np

        asked = query.get("datapoint", {})
        wanted = self._vector(asked)
        if self._matrix is None:
            return []
        if len(wanted) != self._matrix.shape[1]:
            raise invalid(
                f"The query has {len(wanted)} numbers; the index has {self._matrix.shape[1]}."
            )
        row = self._prepared(np.asarray([wanted], dtype=np.float32))[0]
        distances = self._distances(row)
        sign = -1.0 if self._distance in _LARGER_IS_NEARER else 1.0
        order = np.argsort(sign * distances, kind="stable")
        limit = int(query.get("neighbor_count", 0)) or 10
        a_tag = int(query.get("per_crowding_attribute_neighbor_count", 0))
        chosen: list[Document] = []
        tags: Counter[str] = Counter()
        for at in order:
            point = self._ordered[at]
            tag = point.get("crowding_tag", {}).get("crowding_attribute", "")
            if (a_tag and tag and tags[tag] >= a_tag) or not accepts(asked, point):
                continue
            tags[tag] += 1
            chosen.append({"datapoint": point, "distance": float(distances[at])})
            if len(chosen) == limit:
                break
        return chosen

    def _vector(self, asked: Document) -> list[float]:
        if asked.get("sparse_embedding"):
            raise ApiError(
                Status.UNIMPLEMENTED, "localvertex has no sparse and no hybrid vector search."
            )
        if vector := asked.get("feature_vector"):
            return list(vector)
        identifier = asked.get("datapoint_id", "")
        if identifier not in self.points:
            raise ApiError(Status.NOT_FOUND, f"The index has no datapoint {identifier!r}.")
        return list(self.points[identifier]["feature_vector"])

    def _prepared(self, rows: "np.ndarray") -> "np.ndarray":
        import numpy as np

        if not self._normed and self._distance != "COSINE_DISTANCE":
            return rows
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.where(lengths == 0, 1, lengths)

    def _distances(self, row: "np.ndarray") -> "np.ndarray":
        import numpy as np

        if self._matrix is None:
            return np.empty(0, dtype=np.float32)
        if self._distance == "SQUARED_L2_DISTANCE":
            return ((self._matrix - row) ** 2).sum(axis=1)
        if self._distance == "L1_DISTANCE":
            return np.abs(self._matrix - row).sum(axis=1)
        products = self._matrix @ row
        return 1 - products if self._distance == "COSINE_DISTANCE" else products


def accepts(asked: Document, point: Document) -> bool:
    """Whether a datapoint passes the restricts of a query."""
    tokens = {item["namespace"]: item for item in point.get("restricts", ())}
    for item in asked.get("restricts", ()):
        own = tokens.get(item.get("namespace", ""), {})
        given = set(own.get("allow_list", ()))
        allowed = set(item.get("allow_list", ()))
        if allowed and (not allowed & given or allowed & set(own.get("deny_list", ()))):
            return False
        if given & set(item.get("deny_list", ())):
            return False
    numbers = {item["namespace"]: item for item in point.get("numeric_restricts", ())}
    return all(
        _compares(item, numbers.get(item.get("namespace", "")))
        for item in asked.get("numeric_restricts", ())
    )


def _compares(wanted: Document, own: Document | None) -> bool:
    if own is None:
        return False
    pairs = [(own[kind], wanted[kind]) for kind in _NUMBERS if kind in own and kind in wanted]
    compare = _OPERATORS.get(wanted.get("op", ""))
    return bool(pairs and compare and compare(float(pairs[0][0]), float(pairs[0][1])))


def batches(points: Sequence[Document], size: int) -> Iterator[Sequence[Document]]:
    """Yields the datapoints in groups, one for each transaction."""
    for start in range(0, len(points), size):
        yield points[start : start + size]
