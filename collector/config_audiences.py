"""Settings of audiences and of who is told of them."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from collector.section import Count, Name, Seconds, Section


class Evaluation(Section, frozen=True):
    """How audiences are kept up to date."""

    look_s: Annotated[
        Seconds,
        Meta(
            description="how often it is looked for windows that have run out",
            extra_json_schema={"unit": "s"},
        ),
    ] = 5.0
    step_events: Annotated[Count, Meta(description="events looked at in one step")] = 2000
    step_people: Annotated[Count, Meta(description="people evaluated in one step")] = 2000
    history_events: Annotated[
        Count,
        Meta(
            description="events of one id, and purchases of one person, that rules look at; "
            "the newest count"
        ),
    ] = 10_000


class AudienceConfig(Section, frozen=True):
    """Who belongs; docs/AUDIENCES.md describes the rules."""

    name: Annotated[Name, Meta(description="the audience")]
    rule: Annotated[dict[str, Any], Meta(description="who belongs to it")]
    site: Annotated[str, Meta(description="people of this site only; empty: of any")] = ""
    to: Annotated[tuple[str, ...], Meta(description="names of the destinations that are told")] = ()
    record: Annotated[
        bool,
        Meta(
            description="write Audience Entered and Audience Exited into the log, from the first "
            "full evaluation on"
        ),
    ] = True


class DestinationConfig(Section, frozen=True):
    """Who is told when somebody enters or leaves an audience."""

    name: Annotated[Name, Meta(description="the destination, for the audiences that use it")]
    kind: Annotated[
        Literal["webhook", "sendgrid"],
        Meta(description="webhook: signed JSON; sendgrid: contacts of a Twilio SendGrid list"),
    ]
    url: Annotated[
        str,
        Meta(
            pattern=r"^$|^https?://[^\s\"'<>]+$",
            description="a webhook's address; of sendgrid its API [default: the official one]",
        ),
    ] = ""
    secret: Annotated[
        str,
        Meta(
            pattern=r"^$|^[\x21-\x7e]{16,}$",
            description="what a webhook is signed with, at least 16 characters; sendgrid's API key",
        ),
    ] = ""
    list_id: Annotated[str, Meta(description="the list at sendgrid")] = ""
    private: Annotated[
        bool, Meta(description="allow addresses in private networks and on this machine")
    ] = False
    purpose: Annotated[
        Literal["own", "advertising"],
        Meta(description="advertising: nobody whose browser sends Global Privacy Control"),
    ] = "own"
    consent: Annotated[
        Literal["auto", "given", "not refused"],
        Meta(
            description="given: only who agreed; not refused: also who was never asked; auto: "
            "given for advertising, not refused otherwise. Who refused is never delivered"
        ),
    ] = "auto"
    categories: Annotated[
        tuple[str, ...],
        Meta(description="the consent categories that count here; none: all of them"),
    ] = ()
    timeout_s: Annotated[
        Seconds, Meta(description="for one request", extra_json_schema={"unit": "s"})
    ] = 10.0
    parallel: Annotated[Count, Meta(description="requests at once")] = 8
    longest_pause_s: Annotated[
        Seconds,
        Meta(
            description="between two tries while it fails; begins at a second and doubles",
            extra_json_schema={"unit": "s"},
        ),
    ] = 300.0
