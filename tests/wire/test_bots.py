"""Which user agents are bots'."""

import pytest

from collector.wire import bots

WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        f"{WINDOWS} HeadlessChrome/124.0.0.0 Safari/537.36",
        "GPTBot/1.0",
        "curl/8.5.0",
        "python-requests/2.31",
    ],
)
def test_known_bots(agent):
    assert bots.known(agent)


@pytest.mark.parametrize(
    "agent",
    [
        None,
        "",
        f"{WINDOWS} Chrome/124.0.0.0 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 "
        "(KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
        "\ud800",
        "x" * 1024,
    ],
)
def test_people_and_whatever_is_not_known(agent):
    assert not bots.known(agent)
