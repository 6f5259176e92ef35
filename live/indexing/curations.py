"""The live curations: what the log has of them, in the form that searches and callers read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from base.errors import RequestError
from base.sqlite_log.file import LogError
from catalog.attribute_roles import AttributeRoles
from live.log.curations import Action, CurationChange, CurationVersion
from search.curation.curation import MAX_CURATIONS, Curation, QueryRules
from search.curation.json_form import from_json
from search.rules import NamedRules
from search.validation import check_roles


@dataclass(frozen=True)
class LiveCuration:
    """A live curation, and its last change."""

    curation: Curation
    revision: int  # sequence number of the change
    author: str
    time: datetime


@dataclass(frozen=True)
class LiveCurations:
    """All live curations at one moment. They never change; `changed` returns others.

    Attributes:
        by_id: The curations by id.
        sequence: Sequence number of the last change of a curation; 0: there was none.
    """

    by_id: Mapping[str, LiveCuration] = field(default_factory=dict)
    sequence: int = 0

    @property
    def curations(self) -> list[Curation]:
        """The curations, without their last changes."""
        return [live.curation for live in self.by_id.values()]

    def changed(self, versions: Iterable[CurationVersion], log: Path) -> "LiveCurations":
        """Return the curations after later changes.

        Args:
            versions: The latest version of each changed curation, in the order of the changes.
            log: The file of the log, for errors.

        Raises:
            LogError: the content of a version is not that of a curation.
        """
        by_id, sequence = dict(self.by_id), self.sequence
        for version in versions:
            sequence = version.revision
            by_id.pop(version.curation_id, None)
            if version.content is None:
                continue
            try:
                curation = Curation(version.curation_id, from_json(version.content))
            except (RequestError, ValueError) as error:
                raise LogError(
                    f"{log}: curation {version.curation_id!r} cannot be read ({error}); use the "
                    "version of shortlist that wrote it, or delete the curation with that version"
                ) from error
            by_id[version.curation_id] = LiveCuration(
                curation, version.revision, version.author, version.time
            )
        return LiveCurations(by_id, sequence)

    def check(
        self,
        change: CurationChange,
        version: CurationVersion,
        live_rules: Mapping[str, NamedRules],
        roles: AttributeRoles,
        most: int = MAX_CURATIONS,
    ) -> None:
        """Refuse a version that does not fit the other curations or the catalogue.

        Args:
            change: The change that makes the version.
            version: The version.
            live_rules: The rules of these curations, by normalised query.
            roles: The roles of the catalogue's attributes.
            most: The largest number of curations.

        Raises:
            RequestError: there would be too many curations, another curation has a query of the
                version, or its rules use an attribute that is stored only.
        """
        if version.content is None:
            return
        if version.curation_id not in self.by_id and len(self.by_id) >= most:
            raise RequestError(
                "curation_id", f"would be curation {most + 1:,}; delete another one first"
            )
        content = from_json(version.content)
        if not isinstance(content, QueryRules):
            return
        is_set = change.action is Action.SET
        for text in content.texts:
            other = live_rules.get(text)
            if other is not None and other.curation_id != version.curation_id:
                raise RequestError(
                    "query_rules.queries" if is_set else "curation_id",
                    f"has the query {text!r} of curation {other.curation_id!r}; "
                    "a query can be in one curation only",
                )
        if is_set:
            try:
                check_roles(roles, None, (), content.rules)
            except RequestError as error:
                raise error.within("query_rules") from None
