"""The kinds of destinations. To add one: a file with `send` and `close`, and its row here."""

from collections.abc import Callable

from collector.config_audiences import DestinationConfig
from collector.upstream.parcel import Destination
from collector.upstream.sendgrid import SendGrid
from collector.upstream.webhook import Webhook

KINDS: dict[str, Callable[[DestinationConfig], Destination]] = {
    "webhook": Webhook,
    "sendgrid": SendGrid,
}
